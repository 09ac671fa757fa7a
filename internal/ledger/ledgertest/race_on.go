//go:build race

package ledgertest

// Random sequences run in one goroutine, where the race detector finds nothing and makes a transpiled driver twenty times slower.
const defaultSequences = 20
