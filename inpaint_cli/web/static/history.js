// Undo and redo of everything: a state is the mask's squares, and what is shown. States share
// what they have in common, so that each costs only what changed.

const MOST = 200;

export class History {
  constructor(first) {
    this.states = [first];
    this.at = 0;
  }

  get state() {
    return this.states[this.at];
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  push(state) {
    this.states = [...this.states.slice(0, this.at + 1), state].slice(-MOST);
    this.at = this.states.length - 1;
  }

  undo() {
    if (this.canUndo) this.at--;
    return this.state;
  }

  redo() {
    if (this.canRedo) this.at++;
    return this.state;
  }
}
