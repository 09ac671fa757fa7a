//go:build !race

package ledgertest

const defaultSequences = 300
