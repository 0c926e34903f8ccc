// The page's own words, from words.json, in the language that ?lang= or the browser asks for.
const WORDS = JSON.parse(document.getElementById("words").textContent);
const asked = new URLSearchParams(location.search);
const base = tag => tag.toLowerCase().split("-")[0];
const hasWords = tag => Object.hasOwn(WORDS, base(tag));
let language = base([asked.get("lang") ?? "", ...navigator.languages].find(hasWords) ?? "en");

const word = (key, values = {}) => WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Elements say which word they hold, and which names them or stands in them while they are empty.
function worded(root) {
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of root.querySelectorAll("[data-label]")) element.ariaLabel = word(element.dataset.label);
  for (const element of root.querySelectorAll("[data-inside]")) element.placeholder = word(element.dataset.inside);
}

// All of the page's words, in this language from now on.
function speak(tag) {
  language = document.documentElement.lang = base(tag);
  worded(document);
}
speak(language);

// "de" and "en-gb" as people who speak ``tongue`` call them; what is no name of a language stays.
function languageName(tag, tongue = language) {
  try {
    return new Intl.DisplayNames(tongue, { type: "language" }).of(tag);
  } catch { return tag; }
}
