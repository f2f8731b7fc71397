// The mask of one photo: painted on in its own pixels, however far the view is zoomed.

import { SIDE, Sketch, keyOf, placeOf } from "./squares.js";

export class Mask {
  constructor(width, height, squares = new Map()) {
    Object.assign(this, { width, height, squares });
    this.sketches = new Map(); // of the stroke that is being painted
  }

  get count() {
    let count = 0;
    for (const square of this.squares.values()) count += square.count;
    return count;
  }

  get share() {
    return this.count / (this.width * this.height);
  }

  /** Call `draw` with a context in pixels of the photo, for each square that touches `box`. */
  paint({ left, top, right, bottom }, draw) {
    const last = { x: Math.min(right, this.width - 1), y: Math.min(bottom, this.height - 1) };
    for (let y = Math.max(0, Math.floor(top / SIDE)); y * SIDE <= last.y; y++) {
      for (let x = Math.max(0, Math.floor(left / SIDE)); x * SIDE <= last.x; x++) {
        const { context } = this.sketch(keyOf(x, y));
        context.save();
        context.translate(-x * SIDE, -y * SIDE);
        draw(context);
        context.restore();
      }
    }
  }

  sketch(key) {
    if (!this.sketches.has(key)) this.sketches.set(key, new Sketch(this.squares.get(key)));
    return this.sketches.get(key);
  }

  /** Return the squares with what was painted in them; the mask itself stays as it is. */
  finish() {
    const squares = new Map(this.squares);
    for (const [key, sketch] of this.sketches) {
      const [column, row] = placeOf(key);
      const width = Math.min(SIDE, this.width - column * SIDE);
      const square = sketch.finish(width, Math.min(SIDE, this.height - row * SIDE));
      if (square) squares.set(key, square);
      else squares.delete(key);
    }
    return squares;
  }

  /** Forget what was painted since the last `replace`. */
  abort() {
    this.sketches.clear();
  }

  replace(squares) {
    for (const [key, square] of this.squares) if (squares.get(key) !== square) square.rest();
    this.squares = squares;
    this.abort();
  }

  /** Yield what is to be shown: place and picture of each square that is not empty. */
  *pictures(squares = this.squares) {
    const live = squares === this.squares ? this.sketches : new Map();
    for (const key of new Set([...squares.keys(), ...live.keys()])) {
      yield [...placeOf(key), () => (live.get(key) ?? squares.get(key)).picture];
    }
  }
}
