// Shows the notes in the partial that says what a note looks like, and leaves new ones.
"use strict";

const partial = document.currentScript.dataset.partial;
const form = document.getElementById("write");

function token() {
  return (document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) || [])[1];
}

async function show(answer) {
  const template = document.createElement("template");
  template.innerHTML = await (await fetch(partial)).text();
  const list = document.getElementById("notes");
  list.replaceChildren(...answer.notes.map((note) => {
    const copy = template.content.cloneNode(true);
    copy.querySelector("h2").textContent = note.title;
    copy.querySelector("p").textContent = note.text;
    const day = new Date(note.created).toISOString().slice(0, 10);
    copy.querySelector("footer").textContent = note.author ? `${note.author}, ${day}` : day;
    return copy;
  }));
  form.hidden = !answer.user;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const note = { title: form.elements.title.value, text: form.elements.text.value };
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token() };
  const answer = await fetch("/api/notes", { method: "POST", headers, body: JSON.stringify(note) });
  if (answer.ok) {
    form.reset();
    await show(await answer.json());
  }
});

fetch("/api/notes").then((answer) => answer.json()).then(show);
