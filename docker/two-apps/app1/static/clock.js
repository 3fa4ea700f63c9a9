// How long the page has been open.
const began = Date.now();
setInterval(() => {
  document.getElementById("open").textContent = Math.round((Date.now() - began) / 1000) + " s";
}, 1000);
