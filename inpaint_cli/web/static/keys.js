// Keys that work wherever the focus is, unless something is typed.

import { $, make } from "./dom.js";

const TOOLS = { b: "brush", e: "eraser", r: "box", l: "lasso", i: "line", o: "object", k: "color", h: "hand" };

/** Each line of the help: keys, and what they do. */
const HELP = [
  ["B E R L I O K H", "brush, eraser, box, lasso, line, object, colour, move"],
  ["X", "between brush and eraser; shapes: add or take away"],
  ["[ ]", "smaller, larger; with Shift in large steps; or Shift and the wheel"],
  ["Ctrl+Enter", "fill"],
  ["Escape", "end a stroke, or cancel a fill"],
  ["Ctrl+Z Ctrl+Shift+Z", "undo, redo; fills too"],
  ["Delete", "clear the mask"],
  ["C", "before and after"],
  ["M", "back to the mask; on a mask: hide or show it"],
  ["G", "results side by side"],
  ["Ctrl+S", "save the result"],
  ["Space", "hold to move the photo; or the middle button"],
  ["+ - 0 1", "zoom in, out, fit, one pixel each; the wheel zooms at the pointer"],
  ["Page_Up Page_Down", "previous, next photo"],
  ["Arrows Enter", "on the photo: move a point, put the tool down and lift it"],
];

export function listenToKeys(page) {
  window.addEventListener("keydown", (event) => {
    if (isTyping(event) || document.querySelector("dialog[open]")) return;
    const action = page.actions[nameOf(event)];
    if (event.key === " " && !isControl(event.target)) {
      event.preventDefault();
      return page.holdSpace(true);
    }
    if (!action) return;
    event.preventDefault();
    action();
  });
  window.addEventListener("keyup", (event) => event.key === " " && page.holdSpace(false));
  window.addEventListener("blur", () => page.holdSpace(false)); // its keyup goes elsewhere
  const lines = HELP.flatMap(([keys, text]) => {
    const shown = keys.split(" ").map((key) => make("kbd", {}, key.replace("_", " ")));
    const spaced = shown.flatMap((key) => [key, " "]);
    return [make("dt", {}, ...spaced), make("dd", {}, text)];
  });
  $("keys").append(...lines);
}

function isTyping({ target }) {
  return target.matches("input:not([type=range], [type=checkbox]), textarea, select");
}

function isControl(target) {
  return target.matches("button, a, summary, input");
}

/** "Ctrl+Shift+z", "[", "Delete": keys without Shift where it only makes another character. */
function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return control + (event.shiftKey && control ? "Shift+" : "") + key;
}

export function makeActions(page) {
  const { controls, results } = page;
  const tools = Object.entries(TOOLS).map(([key, tool]) => [key, () => page.useTool(tool)]);
  return {
    ...Object.fromEntries(tools),
    x: () => page.swap(),
    "[": () => controls.changeSize(-1),
    "]": () => controls.changeSize(1),
    "{": () => controls.changeSize(-1, true),
    "}": () => controls.changeSize(1, true),
    "Ctrl+Enter": () => page.fill(),
    Escape: () => page.escape(),
    "Ctrl+z": () => page.undo(),
    "Ctrl+Shift+z": () => page.redo(),
    "Ctrl+y": () => page.redo(),
    Delete: () => page.clear(),
    Backspace: () => page.clear(),
    c: () => page.toggleSplit(),
    m: () => page.toggleMask(),
    g: () => results.openSide(),
    "Ctrl+s": () => results.openSave(),
    "Ctrl+o": () => $("photo-file").click(),
    "+": () => page.zoom(1.25),
    "=": () => page.zoom(1.25),
    "-": () => page.zoom(0.8),
    0: () => page.fit(),
    1: () => page.zoomTo(1),
    PageUp: () => page.step(-1),
    PageDown: () => page.step(1),
    "?": () => $("help-dialog").showModal(),
  };
}
