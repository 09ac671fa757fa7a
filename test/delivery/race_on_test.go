//go:build race

package delivery

// The race detector makes SQLite, which is translated to Go, more than ten times slower: there is less to do then.
const scale = 10
