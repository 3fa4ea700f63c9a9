// Moments as the reader's clock has them.
for (const cell of document.querySelectorAll("td[data-when]")) {
  cell.textContent = new Date(cell.dataset.when).toLocaleString();
}
