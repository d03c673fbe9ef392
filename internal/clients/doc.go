// Package clients proves the foreign dialects with programs that nobody here wrote: the official clients of Infisical and Vault,
// unmodified, drive a real server, and those of Vault a real Vault as well, so that a difference is known to be ours. What came
// of each operation is the page docs/compat.md.
//
// The small programs around the clients lie under testdata, in modules of their own. Each prints a line for each operation: its
// name, a tab, and "ok" or what was wrong.
package clients
