// Passkeys: the one thing on these pages that cannot be done without a script (Web Authentication Level 3).
//
// A form with data-passkey asks its data-begin for a challenge, lets the browser answer it, puts the answer into its field
// "credential" and is sent like any other form. It stays hidden where passkeys cannot work: in browsers without them, and at
// another address than the one that they are bound to.
"use strict";

(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  // The browser wants bytes where JSON has text.
  const read = (options) => {
    const listed = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));
    const out = { ...options, challenge: bytes(options.challenge) };
    if (options.user) out.user = { ...options.user, id: bytes(options.user.id) };
    if (options.allowCredentials) out.allowCredentials = listed(options.allowCredentials);
    if (options.excludeCredentials) out.excludeCredentials = listed(options.excludeCredentials);
    return out;
  };

  const write = (credential) => {
    const from = credential.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (from[name]) response[name] = text(from[name]);
    }
    if (from.getTransports) response.transports = from.getTransports();
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      clientExtensionResults: credential.getClientExtensionResults(),
    });
  };

  const sentence = (problem) => {
    const said = [problem.detail, problem.hint].filter(Boolean).map((s) => s[0].toUpperCase() + s.slice(1) + ".");
    return said.join(" ") || "The server did not answer. Try again.";
  };

  const told = (error) => {
    switch (error.name) {
      case "NotAllowedError": return "It was cancelled, took too long, or no passkey for this address was found.";
      case "InvalidStateError": return "This device has a passkey for your account already.";
      case "SecurityError": return "Passkeys do not work at this address.";
      default: return error.message || "It did not work. Try again.";
    }
  };

  const run = async (form) => {
    const answer = await fetch(form.dataset.begin, { method: "POST", headers: { Accept: "application/json" }, redirect: "error" });
    const body = await answer.json();
    if (body.reason === "reauthenticate") { // the last login was too long ago
      location.assign("/verify?next=" + encodeURIComponent(location.pathname));
      return;
    }
    if (!answer.ok) throw new Error(sentence(body));
    const publicKey = read(body);
    const credential = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    form.elements.credential.value = write(credential);
    form.submit();
  };

  const possible = window.PublicKeyCredential && document.body.dataset.origin === location.origin;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!possible) continue;
    form.hidden = false;
    const button = form.querySelector("[data-passkey-start]");
    const problem = form.querySelector("[data-passkey-problem]");
    const start = async (event) => {
      event.preventDefault();
      button.disabled = true;
      problem.hidden = true;
      try {
        await run(form);
      } catch (error) {
        problem.textContent = told(error);
        problem.hidden = false;
        button.disabled = false;
      }
    };
    button.addEventListener("click", start);
    form.addEventListener("submit", start); // by Enter in a field
  }
})();
