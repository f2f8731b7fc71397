// What the pointer does. A tool gets points in pixels of the photo: `start`, `move`, `end`, or
// `cancel`; it paints into the mask, and draws its outline over the photo.

const RED = "#e5484d";

/** Two lines, so that it is seen on dark and on bright photos. */
function outline(context, path, dash = []) {
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 0.55)";
  context.setLineDash([]);
  path(context);
  context.stroke();
  context.lineWidth = 1.25;
  context.strokeStyle = "white";
  context.setLineDash(dash);
  path(context);
  context.stroke();
  context.setLineDash([]);
}

function boxAround(points, margin = 1) {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)];
  return {
    left: Math.min(...xs) - margin,
    top: Math.min(...ys) - margin,
    right: Math.max(...xs) + margin,
    bottom: Math.max(...ys) + margin,
  };
}

class Tool {
  constructor(editor) {
    this.editor = editor; // see editor.js
    this.points = [];
    this.hover = null;
  }

  get active() {
    return this.points.length > 0;
  }

  get sized() {
    return false;
  }

  get erases() {
    return this.editor.erase;
  }

  /** Prepare a context: white adds, or what is there is taken away. */
  ink(context) {
    context.globalCompositeOperation = this.erases ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = "white";
  }

  start(point) {
    this.points = [point];
    this.editor.redraw();
  }

  move(point) {
    this.points.push(point);
    this.editor.redraw();
  }

  end() {
    const points = this.points;
    this.points = [];
    if (points.length) this.apply(points);
  }

  cancel() {
    this.points = [];
    this.editor.cancel();
  }

  apply() {}

  draw() {}
}

class Brush extends Tool {
  get sized() {
    return true;
  }

  get size() {
    return this.editor.sizeOf(this.name);
  }

  start(point) {
    this.points = [point];
    this.stroke([point, point]);
  }

  move(point) {
    this.stroke([this.points.at(-1), point]);
    this.points = [point];
  }

  stroke(points) {
    const { size } = this;
    this.editor.mask.paint(boxAround(points, size / 2 + 1), (context) => {
      this.ink(context);
      strokeLine(context, points, size);
    });
    this.editor.redraw();
  }

  apply() {
    this.editor.commit();
  }

  draw(context, view) {
    if (!this.hover) return;
    const { x, y } = view.toStage(this.hover);
    const radius = Math.max(1, (this.size * view.scale) / 2);
    outline(context, (c) => {
      c.beginPath();
      c.arc(x, y, radius, 0, 2 * Math.PI);
    });
    if (radius < 4) cross(context, x, y, 9);
  }
}

function strokeLine(context, [a, b], size) {
  context.lineWidth = size;
  context.lineCap = "round";
  context.beginPath();
  if (a.x === b.x && a.y === b.y) {
    context.arc(a.x, a.y, size / 2, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
    context.stroke();
  }
}

function cross(context, x, y, arm) {
  outline(context, (c) => {
    c.beginPath();
    c.moveTo(x - arm, y);
    c.lineTo(x + arm, y);
    c.moveTo(x, y - arm);
    c.lineTo(x, y + arm);
  });
}

class Paintbrush extends Brush {
  name = "brush";
}

class Eraser extends Brush {
  name = "eraser";

  get erases() {
    return true;
  }
}

/** What is dragged from one point to another. */
class Drag extends Tool {
  move(point) {
    this.points = [this.points[0], point];
    this.editor.redraw();
  }

  draw(context, view) {
    if (this.active) this.drawShape(context, this.points.map((point) => view.toStage(point)), view);
    else if (this.hover) {
      const { x, y } = view.toStage(this.hover);
      cross(context, x, y, 9);
    }
  }
}

class Line extends Drag {
  name = "line";

  get sized() {
    return true;
  }

  apply([a, b = a]) {
    const size = this.editor.sizeOf(this.name);
    this.editor.mask.paint(boxAround([a, b], size / 2 + 1), (context) => {
      this.ink(context);
      strokeLine(context, [a, b], size);
    });
    this.editor.commit();
  }

  drawShape(context, [a, b = a], view) {
    const size = this.editor.sizeOf(this.name) * view.scale;
    context.save();
    context.globalAlpha = 0.5;
    context.strokeStyle = context.fillStyle = RED;
    strokeLine(context, [a, b], size);
    context.restore();
  }
}

class Box extends Drag {
  name = "box";

  apply(points) {
    const { left, top, right, bottom } = wholeBox(points);
    if (left < right && top < bottom) this.use({ left, top, right, bottom });
    else this.cancel();
  }

  use({ left, top, right, bottom }) {
    this.editor.mask.paint({ left, top, right, bottom }, (context) => {
      this.ink(context);
      context.fillRect(left, top, right - left, bottom - top);
    });
    this.editor.commit();
  }

  drawShape(context, [a, b = a]) {
    const rect = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x), Math.abs(a.y - b.y)];
    context.fillStyle = "rgb(255 255 255 / 0.15)";
    context.fillRect(...rect);
    outline(context, (c) => {
      c.beginPath();
      c.rect(...rect);
    }, [5, 4]);
  }
}

/** The box of whole pixels nearest to a drag; empty where there was none. */
export function wholeBox([a, b = a]) {
  return {
    left: Math.round(Math.min(a.x, b.x)),
    top: Math.round(Math.min(a.y, b.y)),
    right: Math.round(Math.max(a.x, b.x)),
    bottom: Math.round(Math.max(a.y, b.y)),
  };
}

class Lasso extends Tool {
  name = "lasso";

  apply(points) {
    if (points.length < 3) return this.cancel();
    this.editor.mask.paint(boxAround(points), (context) => {
      this.ink(context);
      tracePath(context, points);
      context.fill();
    });
    this.editor.commit();
  }

  draw(context, view) {
    if (this.active) {
      const points = this.points.map((point) => view.toStage(point));
      outline(context, (c) => tracePath(c, points), [5, 4]);
    } else if (this.hover) {
      const { x, y } = view.toStage(this.hover);
      cross(context, x, y, 9);
    }
  }
}

function tracePath(context, [first, ...others]) {
  context.beginPath();
  context.moveTo(first.x, first.y);
  for (const { x, y } of others) context.lineTo(x, y);
  context.closePath();
}

/** Asks a finder for the thing in a box, or under clicks; each further click makes it better. */
class ObjectTool extends Drag {
  name = "object";
  query = null; // {settings, before, after}: what was asked, and the masks before and after

  apply([a, b = a]) {
    const { left, top, right, bottom } = wholeBox([a, b]);
    const { state } = this.editor;
    if (this.query?.after !== state.squares) {
      this.query = { settings: { at: [], avoid: [] }, before: this.editor.reviews ? new Map() : state.squares };
    }
    const { settings } = this.query;
    if (right - left > 3 && bottom - top > 3) settings.box = this.clip(left, top, right, bottom);
    else settings[this.erases ? "avoid" : "at"].push([Math.floor(a.x), Math.floor(a.y)]);
    this.editor.cancel();
    this.editor.page.findObject(this.query);
  }

  clip(left, top, right, bottom) {
    const { width, height } = this.editor.photo;
    const [x, y] = [Math.max(0, left), Math.max(0, top)];
    return [x, y, Math.min(width, right) - x, Math.min(height, bottom) - y];
  }

  drawShape(context, points, view) {
    Box.prototype.drawShape.call(this, context, points, view);
  }

  draw(context, view) {
    super.draw(context, view);
    if (this.query?.after !== this.editor.state.squares) return;
    const { at, avoid } = this.query.settings;
    for (const [color, points] of [["#1fc16b", at], [RED, avoid]]) {
      for (const [px, py] of points) {
        const { x, y } = view.toStage({ x: px + 0.5, y: py + 0.5 });
        context.beginPath();
        context.arc(x, y, 5, 0, 2 * Math.PI);
        context.fillStyle = color;
        context.fill();
        outline(context, (c) => c.arc(x, y, 5, 0, 2 * Math.PI));
      }
    }
  }
}

/** Asks a finder for what has the colour under a click. */
class ColorTool extends Drag {
  name = "color";

  apply([point]) {
    this.editor.cancel();
    this.editor.page.findColor(point);
  }

  drawShape() {}
}

/** Moves the view instead; see pointer.js. */
class Hand extends Tool {
  name = "hand";
  start() {}
  move() {}
  end() {}
  cancel() {}
}

export function makeTools(editor) {
  const kinds = [Paintbrush, Eraser, Box, Lasso, Line, ObjectTool, ColorTool, Hand];
  return Object.fromEntries(kinds.map((Kind) => new Kind(editor)).map((tool) => [tool.name, tool]));
}
