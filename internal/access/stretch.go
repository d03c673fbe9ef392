//go:build !race

package access

// argonMemory is how much memory one computation takes, in KiB.
const argonMemory = 64 * 1024
