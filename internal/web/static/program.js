// The one page that talks to another program: it sends the session that somebody has just agreed to hand over to the program that
// waits for it on this computer. The policy of the page lets it reach that port and nothing else. Without the script, or when the
// program cannot be reached, the text is pasted by hand.
"use strict";

(async () => {
  const said = document.getElementById("handing");
  const paste = document.getElementById("paste");
  const { address, body } = said.dataset;
  paste.open = false;
  said.textContent = "The program is being told.";
  try {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body, mode: "cors", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
    if (!answer.ok) throw new Error("refused");
    said.textContent = "The program is logged in. You can close this page.";
  } catch {
    said.textContent = "The program did not answer. Go back to the terminal: it asks for the text below.";
    paste.open = true;
  }
  delete said.dataset.body;
})();
