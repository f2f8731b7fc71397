// Draws the photo or a result below, and the mask and the tool above. Only what changed is drawn, at
// most once a frame.

import { SIDE } from "./squares.js";

export class Scene {
  constructor(stage, photoCanvas, maskCanvas) {
    this.stage = stage;
    this.below = photoCanvas.getContext("2d", { alpha: false });
    this.above = maskCanvas.getContext("2d");
    this.dirty = new Set();
    this.content = null; // {view, tiles, mask, grown, tool, shown, base, split, maskHidden}
    this.look = { color: "#f0354b", opacity: 0.55 };
    new ResizeObserver(() => this.resize()).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  show(content) {
    this.content = content;
    this.resize();
  }

  resize() {
    const { width, height } = this.stage.getBoundingClientRect();
    this.ratio = window.devicePixelRatio || 1;
    for (const { canvas } of [this.below, this.above]) {
      canvas.width = Math.max(1, Math.round(width * this.ratio));
      canvas.height = Math.max(1, Math.round(height * this.ratio));
    }
    this.content?.view.resize(width, height);
    this.redraw();
  }

  redraw(...layers) {
    for (const layer of layers.length ? layers : ["photo", "mask"]) this.dirty.add(layer);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const dirty = this.dirty;
      this.dirty = new Set();
      if (dirty.has("photo")) this.drawPhoto();
      if (dirty.has("mask")) this.drawMask();
      this.drawn?.();
    });
  }

  /** The part of the photo that is on the screen. */
  get sight() {
    const { view } = this.content;
    const { x: left, y: top } = view.toPhoto({ x: 0, y: 0 });
    const { x: right, y: bottom } = view.toPhoto({ x: view.stage.width, y: view.stage.height });
    return { left, top, right, bottom };
  }

  drawPhoto() {
    const { below } = this;
    below.fillStyle = getComputedStyle(this.stage).getPropertyValue("--stage") || "#888";
    below.fillRect(0, 0, below.canvas.width, below.canvas.height);
    if (!this.content) return;
    const { tiles, shown, base, split } = this.content;
    tiles.begin();
    if (split === null) this.drawVersion(shown);
    else {
      const middle = Math.round(split * below.canvas.width);
      this.drawVersion(base, 0, middle);
      this.drawVersion(shown, middle, below.canvas.width);
    }
    tiles.end();
  }

  /** Draw one version between two columns of the screen: coarse tiles first, fine ones on top. */
  drawVersion(version, from = 0, to = this.below.canvas.width) {
    const { below } = this;
    const { view, tiles } = this.content;
    const level = tiles.levelFor(view.scale * this.ratio);
    below.save();
    below.beginPath();
    below.rect(from, 0, to - from, below.canvas.height);
    below.clip();
    below.imageSmoothingEnabled = view.scale * this.ratio < 2;
    below.imageSmoothingQuality = "medium";
    for (const each of new Set([tiles.top, level])) {
      for (const tile of tiles.cover(each, this.sight)) {
        const picture = tiles.get(version, tile) ?? (each === tiles.top ? tiles.before(tile) : null);
        if (picture) below.drawImage(picture, ...this.onScreen(tile.x, tile.y, tile.w, tile.h));
      }
    }
    below.restore();
  }

  /** Return where a box of the photo is on the screen, in whole pixels, so that none is between. */
  onScreen(x, y, w, h) {
    const { view } = this.content;
    const across = (value) => Math.round((view.x + value * view.scale) * this.ratio);
    const down = (value) => Math.round((view.y + value * view.scale) * this.ratio);
    return [across(x), down(y), across(x + w) - across(x), down(y + h) - down(y)];
  }

  drawMask() {
    const { above } = this;
    const { width, height } = above.canvas;
    above.setTransform(1, 0, 0, 1, 0, 0);
    above.globalCompositeOperation = "source-over";
    above.clearRect(0, 0, width, height);
    if (!this.content) return;
    const { mask, grown, maskHidden, tool, view } = this.content;
    if (!maskHidden) {
      above.globalAlpha = 0.45 * this.look.opacity;
      if (grown) this.drawSquares(mask.pictures(grown));
      above.globalAlpha = this.look.opacity;
      this.drawSquares(mask.pictures());
      above.globalAlpha = 1;
      above.globalCompositeOperation = "source-in";
      above.fillStyle = this.look.color;
      above.fillRect(0, 0, width, height);
      above.globalCompositeOperation = "source-over";
    }
    above.scale(this.ratio, this.ratio);
    tool?.draw(above, view);
  }

  drawSquares(pictures) {
    const { above } = this;
    const { left, top, right, bottom } = this.sight;
    const { width, height } = this.content.mask;
    const { view } = this.content;
    above.save();
    above.beginPath();
    above.rect(...this.onScreen(0, 0, width, height));
    above.clip();
    above.imageSmoothingEnabled = view.scale * this.ratio < 1;
    for (const [column, row, picture] of pictures) {
      const [x, y] = [column * SIDE, row * SIDE];
      if (x < right && y < bottom && x + SIDE > left && y + SIDE > top) {
        above.drawImage(picture(), ...this.onScreen(x, y, SIDE, SIDE));
      }
    }
    above.restore();
  }
}
