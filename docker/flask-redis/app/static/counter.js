// Keeps the number of visits fresh while the page is open.
setInterval(async () => {
  const answer = await fetch("/data");
  if (answer.ok) {
    document.getElementById("visits").textContent = (await answer.json()).visits;
  }
}, 5000);
