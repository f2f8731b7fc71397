// Results: the strip below the photo, all side by side, and the dialog that saves one.

import { fetchView, resultAddress, saveResult } from "./api.js";
import { $, make } from "./dom.js";

const SMALL = 168; // pixels a side of a picture in the strip
const LARGE = 640; // side by side
const SIGHT = 2; // times the hole's box: how much of the photo is seen around it

/** The box of the photo that shows a hole with its surroundings, in the proportions 4 : 3. */
function boxAround(photo, [x, y, w, h]) {
  const width = Math.min(photo.width, Math.round(Math.max(SIGHT * w, (SIGHT * h * 4) / 3, 64)));
  const height = Math.min(photo.height, Math.round((width * 3) / 4));
  const left = Math.round(Math.min(photo.width - width, Math.max(0, x + w / 2 - width / 2)));
  const top = Math.round(Math.min(photo.height - height, Math.max(0, y + h / 2 - height / 2)));
  return [left, top, width, height];
}

export class Results {
  constructor(page) {
    this.page = page;
    this.pictures = new Map(); // addresses of pictures that were fetched
    for (const place of ["strip", "side"]) {
      $(place).addEventListener("click", (event) => {
        const button = event.target.closest(".result");
        if (!button) return;
        $("side-dialog").close();
        page.choose(button.dataset.result || null);
      });
    }
    $("side-by-side").addEventListener("click", () => this.openSide());
    $("save-now").addEventListener("click", () => this.save());
    $("save-name").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.save();
    });
    $("save-name").addEventListener("input", () => this.ask(null));
    $("copy").addEventListener("click", () => this.copy());
  }

  get editor() {
    return this.page.editor;
  }

  forget() {
    for (const address of this.pictures.values()) address.then((url) => URL.revokeObjectURL(url), () => {});
    this.pictures.clear();
    $("strip").replaceChildren();
  }

  /** The newest result's hole, or that of the one that is shown: what all pictures show. */
  get hole() {
    const { results, state } = this.editor;
    return (results.get(state.shown) ?? [...results.values()].at(-1)).hole;
  }

  show() {
    const { results, state } = this.editor;
    $("results").hidden = !results.size;
    if (!results.size) return;
    const hole = this.hole;
    if ($("strip").children.length !== results.size + 1 || this.showing !== hole) {
      this.showing = hole;
      $("strip").replaceChildren(...this.cards(hole, SMALL));
    }
    for (const card of $("strip").children) {
      card.ariaPressed = String((card.dataset.result || null) === state.shown);
    }
    $("strip").querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  *cards(hole, side) {
    yield this.card("", "Photo", "", hole, side);
    for (const { id, model, seconds } of this.editor.results.values()) {
      yield this.card(id, model, ` · ${seconds.toFixed(1)} s`, hole, side);
    }
  }

  card(id, model, time, hole, side) {
    const picture = make("img", { alt: "" });
    this.picture(id || "photo", hole, side).then((url) => (picture.src = url), () => {});
    const text = make("span", { textContent: side === LARGE ? model + time : model });
    return make("button", { className: "result", title: model + time, dataset: { result: id } }, picture, text);
  }

  picture(version, hole, side) {
    const { photo } = this.editor;
    const box = boxAround(photo, hole);
    const size = [side, Math.round((side * box[3]) / box[2])];
    const key = [photo.id, version, box, side].join();
    if (!this.pictures.has(key)) {
      const url = fetchView(photo.id, version, box, size).then((blob) => URL.createObjectURL(blob));
      this.pictures.set(key, url);
    }
    return this.pictures.get(key);
  }

  openSide() {
    if (!this.editor?.results.size) return;
    $("side").replaceChildren(...this.cards(this.hole, LARGE));
    $("side-dialog").showModal();
  }

  // saving ---------------------------------------------------------------------------------

  openSave() {
    const { editor } = this;
    if (!editor?.state.shown) return;
    const { photo } = editor;
    $("download").href = resultAddress(photo.id, editor.state.shown);
    if (!photo.given) return $("download").click(); // there is no folder that it belongs to
    $("save-name").value = photo.filled;
    $("save-form").hidden = false;
    $("saved").hidden = true;
    this.ask(null);
    $("save-dialog").showModal();
    $("save-name").setSelectionRange(0, photo.filled.lastIndexOf("."));
  }

  /** Show a problem; `again` is whether to ask if a file may be replaced. */
  ask(sentence, again = false) {
    $("save-problem").hidden = !sentence;
    $("save-problem").textContent = sentence ?? "";
    this.replaces = again;
    $("save-now").textContent = again ? "Replace" : "Save";
  }

  async save() {
    const { photo, state } = this.editor;
    $("save-now").disabled = true;
    try {
      const saved = await saveResult(photo.id, state.shown, {
        name: $("save-name").value,
        mask: $("save-with-mask").checked,
        overwrite: this.replaces,
      });
      this.showSaved(saved);
    } catch (refusal) {
      this.ask(refusal.message, refusal.status === 409);
    } finally {
      $("save-now").disabled = false;
    }
  }

  showSaved({ output, notes, commands, masks }) {
    $("save-form").hidden = true;
    $("saved").hidden = false;
    $("saved-name").textContent = `Saved as ${[output, ...masks].join(" and ")}.`;
    $("saved-notes").replaceChildren(...notes.map((note) => make("li", { textContent: note })));
    $("saved-command").hidden = $("copy").hidden = !commands.length;
    $("command").textContent = commands.join("\n");
  }

  async copy() {
    try {
      await navigator.clipboard.writeText($("command").textContent);
      $("copy").textContent = "Copied";
      setTimeout(() => ($("copy").textContent = "Copy the command"), 1500);
    } catch {
      getSelection().selectAllChildren($("command")); // to be copied by hand
    }
  }
}
