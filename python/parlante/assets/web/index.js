const $ = id => document.getElementById(id);
const kiosk = asked.has("kiosk");
// On this machine nothing is lost on the way, and the pictures of the WebSocket are finer.
const overWebRTC = "RTCPeerConnection" in window && "requestVideoFrameCallback" in HTMLVideoElement.prototype &&
  (asked.has("webrtc") || !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname));
document.body.classList.toggle("kiosk", kiosk);
const canvas = $("picture"), pen = canvas.getContext("2d");
const CLOCK = 16000, SOUND = 48000;  // Hz, of frames' times and of their samples
const DELAY = 0.08;  // seconds that frames wait, against an uneven network
const REST = 12;  // after so many silent frames they need not wait
const sound = new AudioContext();
const figures = $("status").lastChild;  // a text beside the state, not announced each second
const AGAIN = 2000;  // milliseconds until a lost connection is tried again
let socket = null, again = 0, session = "", voice = asked.get("voice"), start = null, running = false, waiting = [], playing = new Set(), stopped = false, silent = 0;

// An error stays until the next thing is asked for.
const fail = (text, tongue = language) => { Object.assign($("error"), { textContent: text, lang: tongue }); };
const begin = () => { fail(""); stream.muted = false; return sound.resume(); };

function tellState(key) {
  $("state").dataset.word = key;
  $("state").textContent = word(key);
}

// The text that is spoken, in its voice's language.
function caption(text = "", tag = null) {
  $("caption").textContent = text;
  if (tag) $("caption").lang = tag; else $("caption").removeAttribute("lang");
}
// In a kiosk it is above all that can be touched.
new ResizeObserver(([panel]) => document.body.style.setProperty("--panel", `${panel.contentRect.height}px`)).observe(document.querySelector(".panel"));

// Over WebRTC picture and sound come as a stream, which is in step by itself.
const stream = document.createElement("video");
Object.assign(stream, { muted: true, playsInline: true });
const GATHER = 1000;  // milliseconds for the addresses of this side
let peer = null, streaming = false;
async function call() {
  const own = peer = new RTCPeerConnection(), tracks = new MediaStream();
  for (const kind of ["video", "audio"]) own.addTransceiver(kind, { direction: "recvonly" });
  own.ontrack = ({ track }) => tracks.addTrack(track);
  own.onconnectionstatechange = () => {
    if (own !== peer) return;
    if (own.connectionState === "connected") {
      stream.srcObject = tracks;
      stream.play().catch(() => {});
      streaming = true;
      hush();
    } else if (["disconnected", "failed"].includes(own.connectionState)) {
      hangUp();
      tell({ do: "websocket" });
    }
  };
  await own.setLocalDescription();
  const gathered = new Promise(done => {
    own.onicegatheringstatechange = () => { if (own.iceGatheringState === "complete") done(); };
  });
  await Promise.race([gathered, new Promise(done => setTimeout(done, GATHER))]);
  if (own === peer) tell({ offer: own.localDescription.sdp });
}
function hangUp() {
  peer?.close();
  peer = stream.srcObject = null;
  streaming = false;
  start = null;
}

// One clock for picture and sound: the sound card's, as soon as it runs.
function clock() {
  if (running !== (sound.state === "running")) { running = !running; start = null; waiting = []; }
  return running ? sound.currentTime : performance.now() / 1000;
}

async function receive(data) {
  const view = new DataView(data), pts = Number(view.getBigUint64(0, true)), length = view.getUint32(8, true);
  const pcm = new Int16Array(data.slice(12 + length));
  const image = await createImageBitmap(new Blob([new Uint8Array(data, 12, length)], { type: "image/jpeg" }));
  const now = clock(), loud = pcm.some(x => x);
  if (stopped && loud) { image.close(); return; }  // made before the server heard of the stop
  stopped = false;
  silent = loud ? 0 : silent + 1;
  if (silent > REST) { start = null; waiting.push({ due: now, image }); wake(); return; }
  if (start === null || start + pts / CLOCK < now || start + pts / CLOCK > now + 1) start = now + DELAY - pts / CLOCK;
  const due = start + pts / CLOCK;
  waiting.push({ due, image });
  wake();
  if (running && loud) {
    const buffer = sound.createBuffer(1, pcm.length, SOUND);
    buffer.getChannelData(0).set(Float32Array.from(pcm, x => x / 32768));
    const source = new AudioBufferSourceNode(sound, { buffer });
    source.connect(sound.destination);
    source.onended = () => playing.delete(source);
    source.start(due);
    playing.add(source);
  }
}

let order = Promise.resolve();
function told(text) {
  const news = JSON.parse(text);
  if (news.session) {
    session = news.session;
    fail("");
    tellState("ready");
    tell({ change: { mood: $("mood").value, gaze: $("gaze").value } });
    if (voice) tell({ voice });
    if (microphone) tell(listening());
    if (overWebRTC) call().catch(hangUp);
  }
  else if ("answer" in news) {
    if (news.answer === null) hangUp();
    else peer?.setRemoteDescription({ type: "answer", sdp: news.answer }).catch(hangUp);
  }
  else if ("caption" in news) caption(news.caption, news.voice);
  else if (news.error) fail(news.error, "en");
  else figures.data = word("figures", {
    fps: news.fps,
    late: Math.round(news.late_s * 1000),
    queued: news.queued_s.toFixed(1),
    repeated: news.repeated,
  });
}

// Faces and voices, each where there is more than one.
async function choices() {
  const answer = await fetch("/choices" + location.search).catch(() => null);
  if (!answer?.ok) return;
  const { faces, voices } = await answer.json();
  const shown = asked.get("face") ?? faces[0], offered = faces.length > 1 ? faces : [];
  canvas.dataset.name = shown;
  nameFace();
  // A kiosk's screen is filled with the face's picture, out of focus, around the face.
  if (kiosk && faces.includes(shown)) document.body.style.setProperty("--around", `url("${pictureOf(shown)}")`);
  $("faces").hidden = offered.length === 0;
  if ([...$("faces").children].map(button => button.textContent).join("/") !== offered.join("/")) {
    $("faces").replaceChildren(...offered.map(tile));
  }
  for (const button of $("faces").children) button.ariaPressed = button.textContent === shown;
  voice ??= voices.find(tag => base(tag) === language) ?? voices[0] ?? null;
  if (voice) tell({ voice });
  if (voices.length < 2) return;
  if (kiosk) { offerLanguages(voices); return; }
  if (!$("voice")) {
    $("voices").replaceWith($("voices").content);
    worded(document);
    $("voice").onchange = () => { fail(""); voice = $("voice").value; tell({ voice }); };
  }
  $("voice").replaceChildren(...voices.map(tag => new Option(languageName(tag), tag)));
  $("voice").value = voice;
}

const nameFace = () => { canvas.ariaLabel = word("face", { name: canvas.dataset.name }); };

// In a kiosk a voice is a language, and the page's words go over to it, where they can.
function offerLanguages(voices) {
  const several = tag => voices.filter(other => base(other) === base(tag)).length > 1;
  $("languages").hidden = false;
  if ($("languages").children.length !== voices.length) $("languages").replaceChildren(...voices.map(tag => {
    const button = document.createElement("button"), name = languageName(several(tag) ? tag : base(tag), tag);
    Object.assign(button, { type: "button", lang: tag, value: tag });
    button.textContent = name.charAt(0).toLocaleUpperCase() + name.slice(1);
    button.onclick = () => { begin(); choose(tag); };
    return button;
  }));
  pressLanguage();
}
function pressLanguage() {
  for (const button of $("languages").children) button.ariaPressed = button.value === voice;
}
function choose(tag) {
  voice = tag;
  tell({ voice });
  asked.set("voice", tag);
  if (hasWords(tag)) {
    asked.set("lang", base(tag));
    speak(tag);
    nameFace();
    label();
  }
  history.replaceState(null, "", "?" + asked);
  pressLanguage();
}

const pictureOf = name => `/faces/${encodeURIComponent(name)}/picture${location.search}`;

function tile(name) {
  const button = document.createElement("button"), picture = new Image(), text = document.createElement("span");
  button.type = "button";
  picture.alt = "";
  picture.src = pictureOf(name);
  text.textContent = name;
  button.append(picture, text);
  // The other face is another session; this one ends.
  button.onclick = () => {
    begin();
    asked.set("face", name);
    history.replaceState(null, "", "?" + asked);
    tellState("connecting");
    connect();
  };
  return button;
}

function connect() {
  clearTimeout(again);
  socket?.close();
  leave();
  choices();
  const own = socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/live" + location.search);
  own.binaryType = "arraybuffer";
  own.onmessage = ({ data }) => {
    if (own !== socket) return;
    if (typeof data === "string") told(data); else order = order.then(() => { if (own === socket) return receive(data); });
  };
  own.onclose = async () => {
    if (own !== socket) return;
    leave();
    // Why, a socket that was refused does not say; asked in the usual way the server does.
    const answer = await fetch("/live" + location.search).catch(() => null);
    if (own !== socket) return;
    tellState("lost");
    figures.data = "";
    if (answer === null) fail(word("no_answer"));
    else fail([404, 503].includes(answer.status) ? await answer.text() : "", "en");
    again = setTimeout(connect, AGAIN);
  };
}

function leave() {
  session = "";
  caption();
  hangUp();
  hush();
  stopped = false;
  silent = 0;
}

function show(picture, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
    canvas.parentElement.style.setProperty("--aspect", width / height);
  }
  pen.drawImage(picture, 0, 0);
}

// A picture is painted when it is due, and nothing in between. A timer, since a hidden page paints no frames and would pile them up.
let timer = null;
const wake = () => { timer ??= setTimeout(paint, Math.max(0, 1000 * (waiting[0].due - clock()))); };
function paint() {
  const now = clock();
  let latest = null;
  while (waiting.length && waiting[0].due <= now) { latest?.image.close(); latest = waiting.shift(); }
  if (latest) {
    show(latest.image, latest.image.width, latest.image.height);
    latest.image.close();
  }
  timer = null;
  if (waiting.length) wake();
}
function paintStream() {
  if (streaming) show(stream, stream.videoWidth, stream.videoHeight);
  stream.requestVideoFrameCallback(paintStream);
}
if (overWebRTC) stream.requestVideoFrameCallback(paintStream);

const send = message => { if (socket?.readyState === WebSocket.OPEN) socket.send(message); };
const tell = message => send(JSON.stringify(message));
function hush() {
  for (const source of playing) source.stop();
  playing.clear();
  waiting = [];
}
$("say").onsubmit = event => {
  event.preventDefault();
  begin();
  tell({ say: event.target.text.value });
};
$("stop").onclick = () => {
  fail("");
  tell({ do: "interrupt" });
  caption();
  hush();
  start = null;
  stopped = true;
  silent = REST;
};
for (const name of ["mood", "gaze"]) {
  $(name).onchange = () => { fail(""); tell({ change: { [name]: $(name).value } }); };
}
$("file").onchange = async event => {
  begin();
  const query = new URLSearchParams(location.search);
  query.set("session", session);
  try {
    const answer = await fetch("/speak?" + query, { method: "POST", body: event.target.files[0] });
    if (!answer.ok) fail(await answer.text(), "en");
  } catch (error) { fail(word("unsent_file", { reason: error.message })); }
  event.target.value = "";
};

const WORKLET = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[mono]]) { if (mono) this.port.postMessage(mono.slice()); return true; } });`;
let microphone = null, tap = null;  // what is listened to, and what takes its samples
// A kiosk's microphone is open all the time.
const listening = () => ({ rate: sound.sampleRate, listen: kiosk ? "speech" : "all" });
async function listen() {
  if (!navigator.mediaDevices) throw new Error(word("insecure"));
  const opened = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
  if (!tap) {
    await sound.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
    tap = new AudioWorkletNode(sound, "tap");
    tap.port.onmessage = ({ data }) => {
      if (microphone) send(Int16Array.from(data, x => Math.max(-1, Math.min(1, x)) * 32767).buffer);
    };
  }
  microphone = sound.createMediaStreamSource(opened);
  microphone.connect(tap);
  opened.getAudioTracks()[0].onended = () => { shut(); fail(word("microphone_gone")); };  // unplugged
  tell(listening());
}
function shut() {
  microphone.mediaStream.getTracks().forEach(track => track.stop());
  microphone.disconnect();
  microphone = null;
  tell({ do: "flush" });
  label();
}
function label() {
  const [off, on] = kiosk ? ["touch_to_talk", holds() ? "let_go" : "done"] : ["microphone", "microphone_off"];
  $("microphone").lastElementChild.textContent = word(microphone ? on : off);
  $("microphone").classList.toggle("on", microphone !== null);
}
async function startListening() {
  await begin();
  await listen().catch(error => fail(word("no_microphone", { reason: error.message })));
  label();
}
const toggle = () => microphone ? shut() : startListening();

// A kiosk's button listens at once. Held, it listens until it is let go; a short touch leaves the microphone open, or shuts it.
const HOLD = 400;  // milliseconds that a short touch takes at most
let press = null, opening = null;
const holds = () => press !== null && performance.now() - press.since > HOLD;
function hold() {
  if (press) return;
  if (!microphone) opening ??= startListening().finally(() => { opening = null; });
  press = { since: performance.now(), opened: opening };
  setTimeout(label, HOLD + 20);
}
async function letGo() {
  if (!press) return;
  const { opened } = press, shuts = holds() || !opened;
  press = null;
  sound.resume();  // a finger's touch counts for the browser when it is lifted
  await opened;
  if (microphone && shuts) shut();
}
const talk = $("microphone"), isPress = ({ key }) => key === "Enter" || key === " ";
if (kiosk) {
  talk.onpointerdown = event => {
    if (event.button !== 0) return;
    talk.setPointerCapture(event.pointerId);
    hold();
  };
  talk.onpointerup = talk.onpointercancel = talk.onblur = letGo;
  talk.onkeydown = event => { if (isPress(event)) { event.preventDefault(); hold(); } };
  talk.onkeyup = event => { if (isPress(event)) { event.preventDefault(); letGo(); } };
  talk.onclick = event => { if (event.detail === 0) toggle(); };  // of a program that reads screens
  talk.oncontextmenu = event => event.preventDefault();
} else talk.onclick = toggle;
label();
// A screen in a lobby stays lit.
if (kiosk) navigator.wakeLock?.request("screen").catch(() => {});
connect();
