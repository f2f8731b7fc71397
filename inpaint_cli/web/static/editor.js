// One photo that is open: its mask, what is shown, and the history of both.
//
// A state is `squares`, the mask; `base`, what will be filled: the photo (null) or a result; and
// `shown`. Where `shown` is not `base`, it was filled from it with this mask. A stroke begun there
// goes on from what is shown, with a new mask.

import { readGrown, readMask, readResultMask } from "./api.js";
import { History } from "./history.js";
import { Mask } from "./mask.js";
import { decode, unite } from "./squares.js";
import { Sync } from "./sync.js";
import { Tiles } from "./tiles.js";
import { View } from "./view.js";

const GROWN_DELAY = 120; // milliseconds after the last change

export class Editor {
  static async open(photo, tab, page) {
    const squares = decode(await readMask(photo.id, tab));
    return new Editor(photo, tab, page, squares);
  }

  constructor(photo, tab, page, squares) {
    Object.assign(this, { photo, tab, page });
    this.view = new View(photo.width, photo.height);
    this.mask = new Mask(photo.width, photo.height, squares);
    this.sync = new Sync(photo.id, tab, squares, (sentence) => page.complain(sentence));
    this.tiles = new Tiles(photo, () => page.scene.redraw("photo"));
    this.results = new Map();
    for (const result of photo.results) this.add(result);
    this.history = new History({ squares, ...this.remembered() });
    this.grown = null;
    this.erase = false;
  }

  get state() {
    return this.history.state;
  }

  /** Whether a result is looked at, rather than the mask painted. */
  get reviews() {
    return this.state.shown !== this.state.base;
  }

  add(result) {
    this.results.set(result.id, result);
    this.tiles.boxes.set(result.id, result.boxes);
  }

  /** What was shown before a reload, as far as it is still there. */
  remembered() {
    const kept = JSON.parse(sessionStorage.getItem(`shown-${this.photo.id}`) ?? "{}");
    const known = (id) => (this.results.has(id) ? id : null);
    return { base: known(kept.base), shown: known(kept.shown) };
  }

  // what tools call ------------------------------------------------------------------------

  sizeOf(tool) {
    return this.page.sizeOf(tool, this.photo);
  }

  redraw() {
    this.page.scene.redraw("mask");
  }

  begin(erase) {
    this.erase = erase;
    if (this.reviews) this.mask.replace(new Map());
  }

  /** Make what was painted a step of the history. */
  commit() {
    this.push({ squares: this.mask.finish() });
  }

  /** Forget what was painted since the last step. */
  cancel() {
    this.mask.replace(this.state.squares);
    this.page.changed();
  }

  // steps ----------------------------------------------------------------------------------

  /** Add a step; a new mask goes on top of what is shown. */
  push({ squares = this.state.squares, base = this.state.shown, shown = base }) {
    this.history.push({ squares, base, shown });
    this.apply();
  }

  undo() {
    this.history.undo();
    this.apply();
  }

  redo() {
    this.history.redo();
    this.apply();
  }

  /** Show a result with the mask it was filled with; null is the photo. */
  async choose(id) {
    if (id === null) return this.push({ base: null });
    const result = this.results.get(id);
    result.squares ??= decode(await readResultMask(this.photo.id, id));
    this.push({ squares: result.squares, base: result.base, shown: id });
  }

  /** Go back from a result to its mask. */
  edit() {
    this.push({ base: this.state.base });
  }

  /** Add squares that were loaded or found to the mask; on a result they are a new one. */
  take(squares) {
    this.push({ squares: this.reviews ? squares : unite(this.state.squares, squares) });
  }

  apply() {
    const { squares, base, shown } = this.state;
    this.mask.replace(squares);
    this.sync.flushSoon(squares);
    sessionStorage.setItem(`shown-${this.photo.id}`, JSON.stringify({ base, shown }));
    this.grow();
    this.page.changed();
  }

  /** Fetch all that would be filled, where the mask is to grow. */
  grow() {
    clearTimeout(this.growing);
    const { grow, feather } = this.page.options;
    if (!(grow || feather) || !this.state.squares.size) {
      this.grown = null;
      return this.page.changed();
    }
    this.growing = setTimeout(async () => {
      try {
        await this.sync.flush();
        this.grown = decode(await readGrown(this.photo.id, this.tab, grow, feather));
        this.page.changed();
      } catch (refusal) {
        this.page.complain(refusal.message);
      }
    }, GROWN_DELAY);
  }

  close() {
    clearTimeout(this.growing);
    this.tiles.close();
  }
}
