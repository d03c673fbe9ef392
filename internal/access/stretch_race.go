//go:build race

package access

// argonMemory is small under the race detector, which is for tests alone: there a block of memory costs twenty times as much,
// and no guesser is kept off.
const argonMemory = 1024
