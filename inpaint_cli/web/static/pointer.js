// Mouse, pen, fingers, wheel, and the arrow keys, on the canvas: to points of the photo.

const LINE = 16; // pixels of a wheel that counts in lines
const TOUCHPAD = 50; // pixels: a mouse's wheel jumps by more

export class Pointer {
  constructor(canvas, page) {
    Object.assign(this, { canvas, page, fingers: new Map(), dragging: null, keyPoint: null });
    this.penDown = false;
    this.spaceHeld = false;
    const on = (name, call) => canvas.addEventListener(name, call.bind(this), { passive: false });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.cancel);
    on("pointerleave", this.leave);
    on("wheel", this.wheel);
    on("keydown", this.key);
    on("contextmenu", (event) => event.preventDefault());
  }

  get tool() {
    return this.page.tool;
  }

  get view() {
    return this.page.view;
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  down(event) {
    if (!this.view) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.placeOf(event);
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, place);
      if (this.fingers.size > 1) {
        this.tool.cancel();
        this.dragging = "pinch";
        return;
      }
    }
    const moves = event.button === 1 || this.spaceHeld || this.tool.name === "hand";
    if (event.button > 1 || this.page.locked) return;
    this.dragging = moves ? "pan" : "tool";
    this.last = place;
    this.canvas.classList.toggle("moving", moves);
    if (!moves) {
      this.page.beginStroke(event.altKey);
      this.tool.start(this.view.toPhoto(place));
    }
  }

  move(event) {
    if (!this.view) return;
    const place = this.placeOf(event);
    if (this.dragging === "pinch") return this.pinch(event.pointerId, place);
    this.tool.hover = event.pointerType === "touch" ? null : this.view.toPhoto(place);
    if (this.dragging === "pan") {
      this.view.pan(place.x - this.last.x, place.y - this.last.y);
      this.last = place;
      this.page.viewChanged();
    } else if (this.dragging === "tool") {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        this.tool.move(this.view.toPhoto(this.placeOf(each)));
      }
    }
    this.page.pointerMoved();
  }

  pinch(id, place) {
    if (!this.fingers.has(id)) return;
    const before = measure([...this.fingers.values()]);
    this.fingers.set(id, place);
    const after = measure([...this.fingers.values()]);
    this.view.pan(after.x - before.x, after.y - before.y);
    if (before.spread && after.spread) this.view.zoom(after.spread / before.spread, after);
    this.page.viewChanged();
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (this.dragging === "tool") this.tool.end();
    if (!this.fingers.size || this.dragging !== "pinch") this.dragging = null;
    this.canvas.classList.remove("moving");
  }

  cancel(event) {
    if (this.dragging === "tool") this.tool.cancel();
    this.dragging = null;
    this.up(event);
  }

  leave() {
    if (this.dragging || !this.view) return;
    this.tool.hover = null;
    this.page.pointerMoved();
  }

  wheel(event) {
    if (!this.view) return;
    event.preventDefault();
    const unit = event.deltaMode ? LINE : 1;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (event.altKey || event.shiftKey) return this.page.changeSize(Math.sign(dx || dy) * -1);
    const finger = !event.deltaMode && (dx !== 0 || Math.abs(dy) < TOUCHPAD);
    if (finger && !event.ctrlKey && !event.metaKey) this.view.pan(-dx, -dy);
    else {
      const speed = finger ? 0.01 : 0.002;
      this.view.zoom(Math.exp(-dy * speed), this.placeOf(event));
    }
    this.page.viewChanged();
  }

  /** Arrows move a point over the photo, Enter puts the tool down and lifts it again. */
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!this.view || this.page.locked || event.ctrlKey || event.metaKey) return;
    if (step) this.step(step, event.shiftKey ? 40 : 8);
    else if (event.key === "Enter") this.press(event.altKey);
    else return;
    event.preventDefault();
  }

  step([dx, dy], pixels) {
    const { width, height, stage } = this.view;
    const middle = this.view.toPhoto({ x: stage.width / 2, y: stage.height / 2 });
    const from = this.keyPoint ?? this.tool.hover ?? middle;
    const stride = Math.max(1, Math.round(pixels / this.view.scale));
    this.keyPoint = {
      x: Math.min(width, Math.max(0, from.x + dx * stride)),
      y: Math.min(height, Math.max(0, from.y + dy * stride)),
    };
    this.tool.hover = this.keyPoint;
    if (this.penDown) this.tool.move(this.keyPoint);
    this.view.reveal(this.keyPoint);
    this.page.viewChanged();
    this.page.sayPoint(this.keyPoint, this.penDown);
  }

  press(alt) {
    const { stage } = this.view;
    this.keyPoint ??= this.view.toPhoto({ x: stage.width / 2, y: stage.height / 2 });
    this.penDown = !this.penDown;
    if (this.penDown) {
      this.page.beginStroke(alt);
      this.tool.start(this.keyPoint);
    } else this.tool.end();
    this.page.sayPoint(this.keyPoint, this.penDown);
  }

  /** End whatever is under way, as when another tool is chosen. */
  release() {
    if (this.penDown || this.dragging === "tool") this.tool?.cancel();
    this.penDown = false;
    this.dragging = null;
  }
}

function measure(places) {
  const [a, b = a] = places;
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
}
