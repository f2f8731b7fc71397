// The server's addresses. All are relative to the page's own, which holds the token.

export class Refusal extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Ask the server; throws a `Refusal` with its sentence, or with one about the connection. */
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new Refusal("The connection to inpaint is lost. Is it still running in its terminal?", 0);
  }
  if (!answer.ok) {
    const reply = await answer.json().catch(() => ({}));
    throw new Refusal(reply.error ?? `The server answered ${answer.status}.`, answer.status);
  }
  return answer;
}

const asJson = async (promise) => (await promise).json();
const asBytes = async (promise) => new Uint8Array(await (await promise).arrayBuffer());
const post = (path, value) => ask(path, { method: "POST", body: JSON.stringify(value) });
const notesOf = (answer) => JSON.parse(answer.headers.get("Inpaint-Notes") ?? "[]");

export const readState = () => asJson(ask("state"));
export const listModels = () => asJson(ask("models"));
export const openPhoto = (photo) => asJson(ask(`photos/${photo}`));
export const uploadPhoto = (file) =>
  asJson(ask(`photos?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }));

export async function fetchView(photo, version, box, size) {
  const path = `photos/${photo}/view/${version}?box=${box.join()}&size=${size.join()}`;
  return (await ask(path)).blob();
}

export const readMask = (photo, tab) => asBytes(ask(`photos/${photo}/masks/${tab}`));
export const writeMask = (photo, tab, body) =>
  ask(`photos/${photo}/masks/${tab}`, { method: "PUT", body });
export const readGrown = (photo, tab, grow, feather) =>
  asBytes(ask(`photos/${photo}/masks/${tab}/grown?grow=${grow}&feather=${feather}`));
export const maskAddress = (photo, tab) => `api/photos/${photo}/masks/${tab}/picture`;

/** Read a mask file, or the photo's transparency where `file` is null: its squares, and notes. */
export async function loadMask(photo, file) {
  const query = file ? `name=${encodeURIComponent(file.name)}` : "source=alpha";
  const answer = await ask(`photos/${photo}/load-mask?${query}`, { method: "POST", body: file });
  return { squares: new Uint8Array(await answer.arrayBuffer()), notes: notesOf(answer) };
}

export const listFinders = () => asJson(ask("finders"));

/** Let a finder look at the photo, or at the result `version`: its squares, and a sentence. */
export async function find(photo, version, kind, settings, file) {
  const query = new URLSearchParams({ kind, settings: JSON.stringify(settings) });
  if (version) query.set("version", version);
  const answer = await ask(`photos/${photo}/find?${query}`, { method: "POST", body: file });
  return { squares: new Uint8Array(await answer.arrayBuffer()), notes: notesOf(answer) };
}

export const startFill = (photo, values) => asJson(post(`photos/${photo}/fill`, values));
export const cancelJob = (job) => asJson(ask(`jobs/${job}`, { method: "DELETE" }));
export const readResultMask = (photo, result) =>
  asBytes(ask(`photos/${photo}/results/${result}/mask`));
export const saveResult = (photo, result, values) =>
  asJson(post(`photos/${photo}/results/${result}/save`, values));
export const resultAddress = (photo, result) => `api/photos/${photo}/results/${result}/picture`;

const ENDS = ["done", "failed", "cancelled"];
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** Follow a fill until it ends, calling `tell` with each news; a lost connection is waited for. */
export async function watchJob(job, tell, complain) {
  while (!ENDS.includes(job.state)) {
    tell(job);
    try {
      job = await asJson(ask(`jobs/${job.id}?seen=${job.version}`));
    } catch (refusal) {
      if (refusal.status) throw refusal;
      complain(`${refusal.message} Trying again…`);
      await pause(1);
    }
  }
  return job;
}
