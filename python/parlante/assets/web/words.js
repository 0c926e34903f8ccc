// The page's own words, from words.json, in the language that ?lang= or the browser asks for.
const WORDS = JSON.parse(document.getElementById("words").textContent);
const asked = new URLSearchParams(location.search);
const language = [asked.get("lang") ?? "", ...navigator.languages]
  .map(tag => tag.toLowerCase().split("-")[0]).find(tag => Object.hasOwn(WORDS, tag)) ?? "en";
document.documentElement.lang = language;

const word = (key, values = {}) => WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Elements say which word they hold, and which names them or stands in them while they are empty.
function worded(root) {
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of root.querySelectorAll("[data-label]")) element.ariaLabel = word(element.dataset.label);
  for (const element of root.querySelectorAll("[data-inside]")) element.placeholder = word(element.dataset.inside);
}
worded(document);

// "de" and "en-gb" as people call them; what is no name of a language stays.
function languageName(tag) {
  try {
    return new Intl.DisplayNames(language, { type: "language" }).of(tag);
  } catch { return tag; }
}
