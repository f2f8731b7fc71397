// Which part of the photo is on the screen: `scale` is pixels of CSS for one of the photo, and
// `x`, `y` is where its corner is.

const LARGEST = 32;

export class View {
  constructor(width, height) {
    Object.assign(this, { width, height, scale: 1, x: 0, y: 0, stage: { width: 1, height: 1 } });
    this.fitted = true;
  }

  get fitScale() {
    const room = 0.96;
    return Math.min(
      (room * this.stage.width) / this.width,
      (room * this.stage.height) / this.height,
      LARGEST,
    );
  }

  resize(width, height) {
    const middle = this.toPhoto({ x: this.stage.width / 2, y: this.stage.height / 2 });
    this.stage = { width, height };
    if (this.fitted) return this.fit();
    this.x = width / 2 - middle.x * this.scale;
    this.y = height / 2 - middle.y * this.scale;
  }

  fit() {
    this.fitted = true;
    this.scale = this.fitScale;
    this.x = (this.stage.width - this.width * this.scale) / 2;
    this.y = (this.stage.height - this.height * this.scale) / 2;
  }

  /** Zoom so that the point under `at`, in CSS pixels of the stage, stays where it is. */
  zoom(factor, at = { x: this.stage.width / 2, y: this.stage.height / 2 }) {
    const scale = Math.min(LARGEST, Math.max(this.fitScale / 2, this.scale * factor));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.keepInSight();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.keepInSight();
  }

  /** Move the photo back where nothing of it would be seen. */
  keepInSight() {
    const margin = 48;
    const { width, height } = this.stage;
    this.x = Math.min(width - margin, Math.max(margin - this.width * this.scale, this.x));
    this.y = Math.min(height - margin, Math.max(margin - this.height * this.scale, this.y));
  }

  /** Move just as far as brings `point` of the photo into sight. */
  reveal(point) {
    const margin = 24;
    const { x, y } = this.toStage(point);
    const { width, height } = this.stage;
    this.pan(
      Math.max(0, margin - x) - Math.max(0, x - width + margin),
      Math.max(0, margin - y) - Math.max(0, y - height + margin),
    );
  }

  toPhoto({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  toStage({ x, y }) {
    return { x: this.x + x * this.scale, y: this.y + y * this.scale };
  }
}
