/** Runs before the page is drawn: the theme a person chose, so that a dark page never flashes white. */
{
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
