// The panel: what the tools paint with, how the mask grows and looks, the model and its options.

import { listFinders, listModels } from "./api.js";
import { $, check, make, radios, settings } from "./dom.js";

const COLORS = { red: "#f0354b", green: "#1fc16b", blue: "#2f7df6", yellow: "#f5c518" };
const SMALLEST = 2; // pixels of a brush
const RELATIVE = 0.03; // of the photo's longer side: a brush that nobody set yet
const HINTS = {
  brush: "Paint over what should go.",
  eraser: "Takes away from the mask.",
  box: "Drag a rectangle.",
  lasso: "Draw around what should go: the inside is filled.",
  line: "Drag from end to end: for wires and scratches.",
  object: "Drag a box around a thing, or click on it; Alt+click on what is not part of it.",
  color: "Click on a colour: all that is like it is found.",
  hand: "Drag the photo. The wheel zooms, also with any other tool.",
};

export class Controls {
  constructor(page) {
    this.page = page;
    this.sizes = settings.read("sizes", {});
    this.look = settings.read("look", { color: "red", opacity: 0.55 });
    radios($("tools"), (button) => page.useTool(button.dataset.tool));
    radios($("mode"), (button) => this.setMode(button.dataset.mode));
    $("size").addEventListener("input", () => this.setSize(this.sizeAt($("size").value)));
    for (const name of ["grow", "feather"]) $(name).addEventListener("input", () => this.growChanged());
    for (const name of ["seed", "window"]) $(name).addEventListener("input", () => page.changed());
    const tolerance = () => ($("tolerance-text").textContent = $("tolerance").value);
    $("tolerance").addEventListener("input", tolerance);
    $("model").addEventListener("change", () => this.modelChanged());
    this.makeColors();
    this.setMode("add");
  }

  // tools ----------------------------------------------------------------------------------

  showTool(tool) {
    check($("tools"), (button) => button.dataset.tool === tool.name);
    $("tool-name").textContent = $("tools").querySelector(`[data-tool=${tool.name}]`).innerText.trim();
    $("tool-hint").textContent = HINTS[tool.name];
    $("size-row").hidden = !tool.sized;
    $("tolerance-row").hidden = tool.name !== "color";
    $("mode").hidden = ["brush", "eraser", "color", "hand"].includes(tool.name);
    this.showSize();
  }

  setMode(mode) {
    this.mode = mode;
    check($("mode"), (button) => button.dataset.mode === mode);
  }

  largest(photo) {
    return Math.max(64, Math.max(photo.width, photo.height) / 2);
  }

  sizeOf(tool, photo) {
    const usual = RELATIVE * Math.max(photo.width, photo.height) * (tool === "line" ? 0.3 : 1);
    const size = this.sizes[tool] ?? usual;
    return Math.min(this.largest(photo), Math.max(SMALLEST, Math.round(size)));
  }

  /** The slider goes by ratios, so that small brushes are set as finely as large ones. */
  sizeAt(share) {
    return SMALLEST * (this.largest(this.page.photo) / SMALLEST) ** share;
  }

  setSize(size) {
    const { tool, photo } = this.page;
    if (!tool?.sized) return;
    const limited = Math.min(this.largest(photo), Math.max(SMALLEST, size));
    this.sizes[tool.name] = Math.round(limited);
    settings.write("sizes", this.sizes);
    this.showSize();
  }

  showSize() {
    const { tool, photo } = this.page;
    if (!tool?.sized || !photo) return;
    const size = this.sizeOf(tool.name, photo);
    const share = Math.log(size / SMALLEST) / Math.log(this.largest(photo) / SMALLEST);
    $("size").value = share;
    $("size-text").textContent = `${size} px`;
    $("size").setAttribute("aria-valuetext", `${size} pixels`);
    this.page.scene.redraw("mask");
  }

  changeSize(steps, coarse) {
    const { tool, photo } = this.page;
    if (!tool?.sized) return;
    const size = this.sizeOf(tool.name, photo);
    const factor = (coarse ? 1.5 : 1.12) ** steps;
    const changed = Math.round(size * factor);
    this.setSize(changed === size ? size + Math.sign(steps) : changed);
  }

  // mask -----------------------------------------------------------------------------------

  growChanged() {
    for (const name of ["grow", "feather"]) $(`${name}-text`).textContent = `${$(name).value} px`;
    this.page.editor?.grow();
  }

  makeColors() {
    for (const [name, color] of Object.entries(COLORS)) {
      const button = make("button", { role: "radio", ariaLabel: name, title: name, dataset: { color: name } });
      button.style.background = color;
      $("colors").append(button);
    }
    radios($("colors"), (button) => this.setLook({ color: button.dataset.color }));
    $("opacity").addEventListener("input", () => this.setLook({ opacity: Number($("opacity").value) }));
    this.setLook({});
  }

  setLook(change) {
    Object.assign(this.look, change);
    settings.write("look", this.look);
    check($("colors"), (button) => button.dataset.color === this.look.color);
    $("opacity").value = this.look.opacity;
    $("opacity-text").textContent = `${Math.round(100 * this.look.opacity)} %`;
    this.page.scene.look = { color: COLORS[this.look.color], opacity: this.look.opacity };
    this.page.scene.redraw("mask");
  }

  // finders --------------------------------------------------------------------------------

  /** Offer the finders that need no settings, or a file alone; others are tools of their own. */
  async loadFinders() {
    this.finders = await listFinders();
    const known = new Set(this.finders.map((finder) => finder.kind));
    for (const tool of ["object", "color"]) {
      $("tools").querySelector(`[data-tool=${tool}]`).hidden = !known.has(tool);
    }
    for (const finder of this.finders) {
      const required = Object.keys(finder.settings).filter((key) => finder.settings[key] === "required");
      if (finder.kind === "object" || required.some((key) => !finder.files.includes(key))) continue;
      const name = finder.kind.charAt(0).toUpperCase() + finder.kind.slice(1);
      const button = make("button", { title: finder.summary }, required.length ? `${name}…` : name);
      button.addEventListener("click", () => this.useFinder(finder, required.length > 0));
      $("finders").append(button);
    }
    $("find-panel").hidden = !$("finders").children.length;
  }

  useFinder(finder, needsFile) {
    if (!needsFile) return this.page.find(finder.kind, {});
    $("finder-file").onchange = () => {
      const [file] = $("finder-file").files;
      $("finder-file").value = "";
      if (file) this.page.find(finder.kind, {}, file);
    };
    $("finder-file").click();
  }

  // model ----------------------------------------------------------------------------------

  async loadModels(chosen) {
    this.models = await listModels();
    const usual = chosen ?? settings.read("model", "patchmatch");
    if (chosen && !this.models.some((model) => model.name === chosen)) {
      this.models.unshift({ name: "", label: chosen, ready: true, summary: "", status: chosen });
    }
    const rank = (model) => (model.ready ? 0 : 1);
    for (const model of this.models.toSorted((a, b) => rank(a) - rank(b))) {
      const option = make("option", { value: model.name, disabled: !model.ready });
      option.textContent = (model.label ?? model.name) + (model.ready ? "" : " (needs weights)");
      $("model").append(option);
    }
    const known = this.models.some((model) => model.name === usual && model.ready);
    $("model").value = known ? usual : (this.models.find((model) => model.ready)?.name ?? "");
    this.modelChanged();
  }

  modelChanged() {
    const model = this.models.find((each) => each.name === $("model").value);
    $("model-text").textContent = model ? [model.summary, `${sentence(model.status)}.`].join(" ") : "";
    settings.write("model", $("model").value);
    this.page.changed();
  }

  get options() {
    const window = $("window").value;
    return {
      model: $("model").value || null,
      grow: Number($("grow").value),
      feather: Number($("feather").value),
      seed: Number($("seed").value || 0),
      window: window ? Number(window) : null,
      device: $("device").value,
      precision: $("precision").value,
    };
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
