// Small helpers for the document.

export const $ = (id) => document.getElementById(id);

/** Make an element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const { dataset, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

/** Let a group of radio buttons choose one value: by click, and by the arrow keys. */
export function radios(group, choose) {
  const buttons = () => [...group.querySelectorAll("[role=radio]:not([hidden])")];
  group.addEventListener("click", (event) => {
    const button = event.target.closest("[role=radio]");
    if (button) choose(button);
  });
  group.addEventListener("keydown", (event) => {
    const turn = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!turn) return;
    event.preventDefault();
    event.stopPropagation();
    const all = buttons();
    const next = all[(all.indexOf(document.activeElement) + turn + all.length) % all.length];
    next.focus();
    choose(next);
  });
}

/** Mark the chosen radio button of a group; only it is reached by Tab. */
export function check(group, isChosen) {
  for (const button of group.querySelectorAll("[role=radio]")) {
    button.ariaChecked = String(Boolean(isChosen(button)));
    button.tabIndex = isChosen(button) ? 0 : -1;
  }
}

/** What the page remembers in this browser: sizes, colours, the last model. */
export const settings = {
  read(name, otherwise) {
    try {
      return JSON.parse(localStorage.getItem(`inpaint-${name}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  write(name, value) {
    try {
      localStorage.setItem(`inpaint-${name}`, JSON.stringify(value));
    } catch {
      // a browser that keeps nothing
    }
  },
};

/** Show sentences over the photo; `bad` ones stay until they are closed or `calm` is called. */
export class Messages {
  constructor(place) {
    this.place = place;
  }

  say(sentence, bad = false) {
    for (const old of this.place.children) if (old.dataset.text === sentence) old.remove();
    const close = make("button", { className: "icon", ariaLabel: "Close" });
    close.innerHTML = '<svg><use href="#i-close"/></svg>';
    const className = bad ? "message bad" : "message";
    const message = make("div", { className, dataset: { text: sentence } }, sentence, close);
    if (bad) message.role = "alert";
    close.addEventListener("click", () => message.remove());
    this.place.append(message);
    while (this.place.children.length > 3) this.place.firstChild.remove();
    if (!bad) setTimeout(() => message.remove(), 3000 + 45 * sentence.length);
  }

  calm() {
    for (const message of this.place.querySelectorAll(".bad")) message.remove();
  }
}
