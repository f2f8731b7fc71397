// The page: which photo is open, what is shown of it, and what buttons and keys do.

import * as api from "./api.js";
import { Controls } from "./controls.js";
import { $, Messages, check, make, radios } from "./dom.js";
import { Editor } from "./editor.js";
import { listenToKeys, makeActions } from "./keys.js";
import { Pointer } from "./pointer.js";
import { Results } from "./results.js";
import { Scene } from "./scene.js";
import { decode, unite } from "./squares.js";
import { makeTools } from "./tools.js";

class Page {
  constructor() {
    this.messages = new Messages($("messages"));
    this.scene = new Scene($("stage"), $("photo-layer"), $("mask-layer"));
    this.controls = new Controls(this);
    this.results = new Results(this);
    this.pointer = new Pointer($("mask-layer"), this);
    this.actions = makeActions(this);
    this.split = null; // where before and after meet, 0 to 1; null: only what is shown
    this.photos = [];
    listenToKeys(this);
    this.listen();
    this.tab = sessionStorage.getItem("tab") ?? makeId();
    sessionStorage.setItem("tab", this.tab);
  }

  async start() {
    const state = await this.attempt(api.readState());
    if (!state) return;
    this.photos = state.photos;
    this.showPhotos();
    this.attempt(this.controls.loadModels(state.model));
    this.attempt(this.controls.loadFinders());
    const last = sessionStorage.getItem("photo");
    const first = this.photos.find((photo) => photo.id === last) ?? this.photos[0];
    if (first) await this.open(first.id);
    else $("welcome").hidden = false;
  }

  /** Wait for `promise`; where it is refused say why, and return undefined. */
  async attempt(promise) {
    try {
      return await promise;
    } catch (error) {
      if (!(error instanceof api.Refusal)) console.error(error);
      this.complain(error.message);
    }
  }

  say(sentence) {
    this.messages.say(sentence);
  }

  complain(sentence) {
    this.messages.say(sentence, true);
  }

  listen() {
    const click = (id, call) => $(id).addEventListener("click", call);
    click("undo", () => this.undo());
    click("redo", () => this.redo());
    click("zoom-in", () => this.zoom(1.25));
    click("zoom-out", () => this.zoom(0.8));
    click("zoom", () => this.fit());
    click("help", () => $("help-dialog").showModal());
    click("previous", () => this.step(-1));
    click("next", () => this.step(1));
    click("clear", () => this.clear());
    click("fill", () => this.fill());
    click("cancel", () => this.cancel());
    click("edit", () => this.editor.edit());
    click("save", () => this.results.openSave());
    click("load-alpha", () => this.loadMask(null));
    for (const id of ["open", "choose"]) click(id, () => $("photo-file").click());
    click("load-mask", () => $("mask-file").click());
    $("save-mask").addEventListener("click", (event) => this.saveMask(event));
    $("photos").addEventListener("change", () => this.open($("photos").value));
    for (const [id, use] of [["photo-file", "upload"], ["mask-file", "loadMask"]]) {
      $(id).addEventListener("change", () => {
        const [file] = $(id).files;
        $(id).value = "";
        if (file) this[use](file);
      });
    }
    radios($("compare"), (button) => this.compare(button.dataset.compare));
    this.listenToSplit();
    this.listenToDrops();
    // a click on a button leaves the keys to the photo
    document.addEventListener("mousedown", (event) => {
      if (event.target.closest("button") && !event.target.closest("dialog")) event.preventDefault();
    });
  }

  // photos ---------------------------------------------------------------------------------

  showPhotos() {
    const options = this.photos.map(({ id, name }) => make("option", { value: id }, shorten(name)));
    $("photos").replaceChildren(...options);
    $("photo-choice").hidden = !this.photos.length;
    for (const id of ["previous", "next"]) $(id).hidden = this.photos.length < 2;
  }

  async open(id) {
    if (this.busy) {
      $("photos").value = this.photo.id;
      return this.say("Wait for the fill, or cancel it, before you open another photo.");
    }
    this.pointer.release();
    $("veil").hidden = false;
    $("welcome").hidden = true;
    const photo = await this.attempt(api.openPhoto(id));
    const editor = photo && (await this.attempt(Editor.open(photo, this.tab, this)));
    $("veil").hidden = true;
    if (!editor) {
      $("photos").value = this.photo?.id ?? "";
      $("welcome").hidden = Boolean(this.editor);
      return;
    }
    this.editor?.close();
    this.results.forget();
    this.messages.calm();
    this.editor = editor;
    this.split = null;
    sessionStorage.setItem("photo", id);
    $("photos").value = id;
    $("load-alpha").hidden = !photo.transparent;
    document.title = `${shorten(photo.name)} - inpaint`;
    photo.notes.forEach((note) => this.say(note));
    this.tools = makeTools(editor);
    this.useTool(this.toolName ?? "brush");
    this.scene.show({ view: editor.view, tiles: editor.tiles, mask: editor.mask });
    editor.grow();
    this.changed();
    for (const job of photo.jobs) this.follow(job);
  }

  step(by) {
    const at = this.photos.findIndex((photo) => photo.id === this.photo?.id);
    const next = this.photos[(at + by + this.photos.length) % this.photos.length];
    if (next && next.id !== this.photo?.id) this.open(next.id);
  }

  async upload(file) {
    $("veil").hidden = false;
    const photo = await this.attempt(api.uploadPhoto(file));
    $("veil").hidden = true;
    if (!photo) return;
    this.photos.push(photo);
    this.showPhotos();
    await this.open(photo.id);
  }

  listenToDrops() {
    const stage = $("stage");
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    window.addEventListener("dragover", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      stage.classList.add("dropping");
    });
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) stage.classList.remove("dropping");
    });
    window.addEventListener("drop", (event) => {
      stage.classList.remove("dropping");
      if (!hasFile(event)) return;
      event.preventDefault();
      this.upload(event.dataTransfer.files[0]);
    });
    window.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
      if (file) this.upload(file);
    });
  }

  // what others ask ------------------------------------------------------------------------

  get photo() {
    return this.editor?.photo;
  }

  get view() {
    return this.editor?.view;
  }

  get options() {
    return this.controls.options;
  }

  /** Whether the mask may not be painted on now. */
  get locked() {
    return Boolean(this.busy);
  }

  sizeOf(tool, photo) {
    return this.controls.sizeOf(tool, photo);
  }

  /** Show what is true now: called after each step. */
  changed() {
    const { editor } = this;
    if (!editor) return;
    const { state, history, mask, reviews } = editor;
    if (!reviews) this.split = null;
    Object.assign(this.scene.content ?? {}, {
      shown: state.shown,
      base: state.base,
      split: this.split,
      grown: editor.grown,
      maskHidden: reviews || this.maskHidden,
      tool: this.tool,
    });
    $("undo").disabled = !history.canUndo || this.locked;
    $("redo").disabled = !history.canRedo || this.locked;
    $("share").textContent = mask.squares.size ? `${percent(mask.share)} of the photo` : "empty";
    $("fill").disabled = !mask.squares.size || this.locked;
    $("fill").textContent = reviews ? "Fill again" : "Fill";
    $("clear").disabled = !mask.squares.size || this.locked;
    $("keep").hidden = !state.shown || this.locked;
    $("edit").hidden = !reviews;
    $("save-mask").href = api.maskAddress(this.photo.id, this.tab);
    $("compare").hidden = !reviews;
    check($("compare"), (button) => button.dataset.compare === this.comparison);
    $("mask-layer").classList.toggle("locked", this.locked);
    this.showSplit();
    this.results.show();
    this.showZoom();
    this.scene.redraw();
  }

  viewChanged() {
    this.showZoom();
    this.scene.redraw();
  }

  pointerMoved() {
    this.scene.redraw("mask");
  }

  /** Say to screen readers where the point is that the arrow keys move. */
  sayPoint({ x, y }, down) {
    $("spoken").textContent = `${Math.round(x)}, ${Math.round(y)}${down ? ", tool down" : ""}`;
  }

  // tools ----------------------------------------------------------------------------------

  useTool(name) {
    const tool = this.tools?.[name];
    if (!tool) return;
    this.pointer.release();
    tool.hover = this.tool?.hover ?? null;
    this.tool = tool;
    this.toolName = name;
    $("mask-layer").dataset.tool = name;
    this.controls.showTool(tool);
    this.changed();
  }

  /** Change between brush and eraser, or between adding and taking away. */
  swap() {
    const other = { brush: "eraser", eraser: "brush" }[this.toolName];
    if (other) this.useTool(other);
    else this.controls.setMode(this.controls.mode === "add" ? "erase" : "add");
  }

  beginStroke(alt) {
    const shape = !["brush", "eraser"].includes(this.toolName);
    this.maskHidden = false;
    this.editor.begin(alt !== (shape && this.controls.mode === "erase"));
    this.scene.content.maskHidden = false;
  }

  changeSize(steps) {
    this.controls.changeSize(steps);
  }

  holdSpace(held) {
    this.pointer.spaceHeld = held;
    $("mask-layer").classList.toggle("ready", held);
  }

  // view -----------------------------------------------------------------------------------

  zoom(factor) {
    this.view?.zoom(factor);
    this.viewChanged();
  }

  /** Zoom so that `ratio` pixels of the screen show one of the photo. */
  zoomTo(ratio) {
    if (this.view) this.zoom(ratio / this.scene.ratio / this.view.scale);
  }

  fit() {
    this.view?.fit();
    this.viewChanged();
  }

  showZoom() {
    if (this.view) $("zoom").textContent = percent(this.view.scale * this.scene.ratio);
  }

  toggleMask() {
    if (this.editor?.reviews) return this.editor.edit();
    this.maskHidden = !this.maskHidden;
    this.changed();
  }

  get comparison() {
    return this.split === null ? "after" : this.split === 1 ? "before" : "split";
  }

  compare(how) {
    if (!this.editor?.reviews) return;
    this.split = { before: 1, split: this.holeShare, after: null }[how];
    this.changed();
  }

  /** Where the middle of the hole is on the stage, 0 to 1: there before and after differ. */
  get holeShare() {
    const [x, , width] = this.editor.results.get(this.editor.state.shown).hole;
    const place = this.view.toStage({ x: x + width / 2, y: 0 }).x / this.view.stage.width;
    return Math.min(0.9, Math.max(0.1, place));
  }

  toggleSplit() {
    this.compare(this.comparison === "split" ? "after" : "split");
  }

  showSplit() {
    const { split } = this;
    $("split").hidden = split === null || split === 1;
    $("split").style.left = `${100 * split}%`;
    $("split").ariaValueNow = String(Math.round(100 * split));
  }

  listenToSplit() {
    const handle = $("split");
    const move = (share) => {
      this.split = this.scene.content.split = Math.min(0.995, Math.max(0.005, share));
      this.showSplit();
      this.scene.redraw("photo");
    };
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const { left, width } = $("stage").getBoundingClientRect();
      move((event.clientX - left) / width);
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!step) return;
      event.preventDefault();
      move(this.split + step);
    });
  }

  // steps ----------------------------------------------------------------------------------

  undo() {
    if (!this.locked) this.editor?.undo();
  }

  redo() {
    if (!this.locked) this.editor?.redo();
  }

  clear() {
    if (this.editor?.mask.squares.size && !this.locked) this.editor.push({ squares: new Map() });
  }

  escape() {
    if (this.busy) return this.cancel();
    this.pointer.release();
  }

  choose(result) {
    if (!this.locked) this.attempt(this.editor.choose(result));
  }

  async loadMask(file) {
    const { editor } = this;
    if (!editor || this.locked) return;
    const loaded = await this.attempt(api.loadMask(this.photo.id, file));
    if (!loaded) return;
    loaded.notes.forEach((note) => this.say(note));
    const squares = decode(loaded.squares);
    if (!squares.size) return this.say("There is no hole in that mask: it is black everywhere.");
    editor.take(squares);
  }

  /** Let a finder look at what is shown; `use` gets the squares that it found. */
  async lookFor(kind, settings, file, use) {
    const { editor } = this;
    if (!editor || this.locked) return;
    this.busy = { state: "finding", kind };
    this.showProgress(performance.now());
    $("progress").hidden = false;
    $("progress-bar").removeAttribute("value");
    this.changed();
    const looks = api.find(this.photo.id, editor.state.shown, kind, settings, file);
    const found = await this.attempt(looks);
    this.rest();
    if (!found) return;
    this.messages.calm();
    found.notes.forEach((note) => this.say(note));
    const squares = decode(found.squares);
    if (squares.size) use(squares);
  }

  find(kind, settings, file) {
    return this.lookFor(kind, settings, file, (squares) => this.editor.take(squares));
  }

  /** Put what the object tool found in the place of what its last click had found. */
  findObject(query) {
    return this.lookFor("object", query.settings, undefined, (squares) => {
      const united = unite(query.before, squares);
      query.after = united;
      this.editor.push({ squares: united });
    });
  }

  /** Find what has the colour of a pixel, which is asked for: the screen shows mixtures. */
  async findColor({ x, y }) {
    const { photo, editor } = this;
    const [left, top] = [Math.floor(x), Math.floor(y)];
    if (left < 0 || top < 0 || left >= photo.width || top >= photo.height) return;
    const version = editor.state.shown ?? "photo";
    const picture = await this.attempt(api.fetchView(photo.id, version, [left, top, 1, 1], [1, 1]));
    const tolerance = Number($("tolerance").value);
    if (picture) this.find("color", { value: await readColor(picture), tolerance });
  }

  async saveMask(event) {
    if (!event.isTrusted) return;
    event.preventDefault();
    const { editor } = this;
    if (!editor?.mask.squares.size) return this.say("The mask is empty.");
    if ((await this.attempt(editor.sync.flush().then(() => true))) === true) $("save-mask").click();
  }

  // fills ----------------------------------------------------------------------------------

  async fill() {
    const { editor } = this;
    if (!editor?.mask.squares.size || this.locked) return;
    this.pointer.release();
    this.messages.calm();
    this.busy = { state: "waiting" };
    this.changed();
    const values = { ...this.options, tab: this.tab, base: editor.state.base };
    const started = editor.sync.flush().then(() => api.startFill(this.photo.id, values));
    const job = await this.attempt(started);
    if (job) await this.follow(job);
    else this.rest();
  }

  /** Show how a fill goes on, and its result. */
  async follow(job) {
    const { editor } = this;
    const began = performance.now() - 1000 * job.seconds;
    const ticks = setInterval(() => this.showProgress(began), 100);
    const follows = api.watchJob(job, (news) => this.showJob(news, began), (text) => this.complain(text));
    const end = await this.attempt(follows);
    clearInterval(ticks);
    this.rest();
    if (end?.state === "failed") this.complain(end.error);
    if (end?.state !== "done") return;
    this.messages.calm();
    const { result } = end;
    result.squares = editor.state.squares;
    editor.add(result);
    editor.push({ base: result.base, shown: result.id });
    result.notes.forEach((note) => this.say(note));
  }

  showJob(job, began) {
    this.busy = job;
    $("progress").hidden = $("cancel").hidden = false;
    $("fill").hidden = true;
    const several = job.total > 1 || job.done > 0;
    $("progress-bar").max = job.total || 1;
    if (several) $("progress-bar").value = job.done;
    else $("progress-bar").removeAttribute("value");
    this.showProgress(began);
    this.changed();
  }

  showProgress(began) {
    if (!this.busy) return;
    const { state, done, total, kind } = this.busy;
    if (state === "finding") return ($("progress-text").textContent = `finding: ${kind}…`);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const windows = total > 1 ? `window ${done} of ${total} · ` : "";
    $("progress-text").textContent = state === "waiting" ? "waiting…" : `${windows}${seconds} s`;
  }

  rest() {
    this.busy = null;
    $("progress").hidden = $("cancel").hidden = true;
    $("fill").hidden = false;
    this.changed();
  }

  async cancel() {
    if (this.busy?.id) await this.attempt(api.cancelJob(this.busy.id));
  }
}

const percent = (share) =>
  `${(100 * share).toPrecision(share < 0.0995 ? 2 : 3).replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") ? "" : zeros))} %`;

/** The colour "#rrggbb" of a picture of one pixel. */
async function readColor(picture) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.drawImage(await createImageBitmap(picture), 0, 0);
  const bytes = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  return `#${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The last two parts of a path. */
const shorten = (name) => name.split(/[\\/]/).slice(-2).join("/");

const makeId = () =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(16).padStart(2, "0")).join("");

const page = new Page();
window.inpaint = page; // for tests and the curious
page.start();
