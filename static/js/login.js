/* Demo cards: fill in the user name and put the cursor into the password. Without scripts the card is a link. */
document.addEventListener("click", (event) => {
  const card = event.target.closest("[data-fill]");
  if (!card || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  for (const other of document.querySelectorAll("[data-fill]")) other.removeAttribute("aria-current");
  card.setAttribute("aria-current", "true");
  document.getElementById("f-username").value = card.dataset.fill;
  document.getElementById("f-password").focus();
});
