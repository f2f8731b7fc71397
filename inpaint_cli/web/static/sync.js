// Keeps the server's copy of the mask like the page's, so that it survives a reload.

import { writeMask } from "./api.js";
import { encode } from "./squares.js";

const AT_ONCE = 64; // squares of a request

export class Sync {
  constructor(photo, tab, squares, complain) {
    Object.assign(this, { photo, tab, complain });
    this.sent = new Map(squares);
    this.current = squares;
    this.running = null;
  }

  /** Send what changed; resolves when the server has `squares`, or what came later. */
  flush(squares = this.current) {
    this.current = squares;
    this.running ??= this.send().finally(() => (this.running = null));
    return this.running;
  }

  /** Send in the background, and again when the connection is back. */
  flushSoon(squares) {
    this.flush(squares).catch((refusal) => {
      this.complain(refusal.message);
      if (!refusal.status) setTimeout(() => this.flushSoon(this.current), 2000);
    });
  }

  get changes() {
    const keys = new Set([...this.sent.keys(), ...this.current.keys()]);
    return [...keys].filter((key) => this.sent.get(key) !== this.current.get(key));
  }

  async send() {
    for (let keys; (keys = this.changes.slice(0, AT_ONCE)).length; ) {
      const squares = new Map(this.current);
      await writeMask(this.photo, this.tab, encode(squares, keys));
      for (const key of keys) {
        if (squares.has(key)) this.sent.set(key, squares.get(key));
        else this.sent.delete(key);
      }
    }
  }
}
