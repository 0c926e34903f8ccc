const $ = id => document.getElementById(id);
const EVERY = 1000;  // milliseconds
const LATE = 0.04;  // seconds: a frame
const rows = new Map();  // by a session's name
const fail = (text, tongue = language) => { Object.assign($("error"), { textContent: text, lang: tongue }); };

async function ask(name, asked) {
  const answer = await fetch(`/sessions/${name}${location.search}`, { method: "POST", body: JSON.stringify(asked) });
  fail(answer.ok ? "" : await answer.text(), "en");
}

function added(name) {
  const row = $("session").content.cloneNode(true).firstElementChild;
  worded(row);
  row.querySelector("img").alt = word("shown");
  const form = row.querySelector("form");
  const unsent = error => fail(word("unsent", { reason: error.message }));
  form.onsubmit = event => {
    event.preventDefault();
    ask(name, { say: form.elements.text.value }).catch(unsent);
  };
  form.elements.stop.onclick = () => ask(name, { do: "interrupt" }).catch(unsent);
  form.elements.mood.onchange = event => ask(name, { change: { mood: event.target.value } }).catch(unsent);
  $("sessions").append(row);
  rows.set(name, row);
  return row;
}

function show(state) {
  const row = rows.get(state.name) ?? added(state.name);
  const seconds = String(state.seconds % 60).padStart(2, "0");
  const numbers = row.querySelector(".numbers");
  row.querySelector("h2").textContent = state.face;
  numbers.textContent = word("session", {
    minutes: `${Math.floor(state.seconds / 60)}:${seconds}`,
    fps: state.fps,
    late: Math.round(state.late_s * 1000),
    repeated: state.repeated,
    frames: state.frames,
    queued: state.queued_s.toFixed(1),
  });
  numbers.classList.toggle("late", state.late_s > LATE);
  row.querySelector("img").src = `/sessions/${state.name}/picture${location.search || "?"}&${Date.now()}`;
}

let answers = true;
async function look() {
  try {
    const [health, states] = await Promise.all(["/healthz", "/sessions"].map(async path => {
      const answer = await fetch(path + location.search);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    }));
    if (!answers) fail("");
    answers = true;
    $("health").textContent = word("health", health);
    $("nobody").hidden = states.length > 0;
    states.forEach(show);
    for (const [name, row] of rows) {
      if (!states.some(state => state.name === name)) { row.remove(); rows.delete(name); }
    }
  } catch (error) {
    answers = false;
    fail(word("no_answer_because", { reason: error.message }));
  }
  setTimeout(look, EVERY);
}
look();
