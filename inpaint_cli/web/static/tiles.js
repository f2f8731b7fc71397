// Pieces of the photo and of its results as they are seen: fetched at the scale that the screen
// needs, what is on the screen first, and kept as long as there is room.

import { fetchView } from "./api.js";

const SIDE = 512; // pixels of a tile, at any level
const MOST = 220; // tiles that are kept
const AT_ONCE = 4; // requests

export class Tiles {
  constructor(photo, changed) {
    Object.assign(this, { photo, changed, wanted: [], asked: 0 });
    this.kept = new Map();
    this.pending = new Set();
    this.boxes = new Map(); // of each result: where it differs from the photo
    this.top = Math.max(0, Math.ceil(Math.log2(Math.max(photo.width, photo.height) / SIDE)));
  }

  /** Return the level whose pixels are at least as fine as the screen's; 0 is the photo itself. */
  levelFor(scale) {
    return Math.min(this.top, Math.max(0, Math.floor(-Math.log2(scale) + 0.01)));
  }

  /** Return the tiles of a level that touch a part of the photo. */
  *cover(level, { left, top, right, bottom }) {
    const span = SIDE * 2 ** level;
    const { width, height } = this.photo;
    for (let y = Math.max(0, Math.floor(top / span)) * span; y < Math.min(bottom, height); y += span) {
      for (let x = Math.max(0, Math.floor(left / span)) * span; x < Math.min(right, width); x += span) {
        yield { level, x, y, w: Math.min(span, width - x), h: Math.min(span, height - y) };
      }
    }
  }

  /** Return the picture of a tile, or null: then it is fetched, unless others are wanted more. */
  get(version, tile) {
    const name = this.nameOf(version, tile);
    const picture = this.kept.get(name);
    if (picture) {
      this.kept.delete(name); // and put back as the youngest
      this.kept.set(name, picture);
      return picture;
    }
    if (!this.pending.has(name)) this.wanted.push({ name, tile });
    return null;
  }

  /** Return the photo's own tile, if it is here: what is shown until that of a result comes. */
  before({ level, x, y }) {
    return this.kept.get(`photo/${level}/${x}/${y}`) ?? null;
  }

  /** Return the name of a tile: the photo's own where the result `version` does not differ. */
  nameOf(version, { level, x, y, w, h }) {
    const differs = ([left, top, width, height]) =>
      left < x + w && x < left + width && top < y + h && y < top + height;
    const own = version && (this.boxes.get(version) ?? []).some(differs);
    return `${own ? version : "photo"}/${level}/${x}/${y}`;
  }

  /** Begin a drawing: only what it asks for is wanted. */
  begin() {
    this.wanted = [];
  }

  /** End it: fetch what is missing. */
  end() {
    while (this.asked < AT_ONCE && this.wanted.length) this.fetch(this.wanted.shift());
  }

  async fetch({ name, tile }) {
    const { level, x, y, w, h } = tile;
    const size = [w, h].map((side) => Math.max(1, Math.ceil(side / 2 ** level)));
    this.asked++;
    this.pending.add(name);
    try {
      const blob = await fetchView(this.photo.id, name.split("/")[0], [x, y, w, h], size);
      this.kept.set(name, await createImageBitmap(blob));
      for (const [old, picture] of this.kept) {
        if (this.kept.size <= MOST) break;
        picture.close();
        this.kept.delete(old);
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1500)); // the next drawing asks again
    } finally {
      this.asked--;
      this.pending.delete(name);
      this.changed();
    }
  }

  close() {
    for (const picture of this.kept.values()) picture.close();
    this.kept.clear();
    this.changed = () => {};
  }
}
