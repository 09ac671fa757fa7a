package git

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"slices"
	"sort"
	"strings"
)

const idSize = 20

// id is the SHA-1 name of an object.
type id [idSize]byte

func (i id) String() string { return hex.EncodeToString(i[:]) }

// parseID reads 40 hexadecimal digits.
func parseID(text []byte) (id, bool) {
	var name id
	if len(text) != 2*idSize {
		return name, false
	}
	_, err := hex.Decode(name[:], text)
	return name, err == nil
}

// missing stands for a parent that the repository does not have: the history is cut off there.
const missing = int32(-1)

// graph is what is kept of all commits: names, times and parents, as columns. Commits are numbered in the order of their names. A
// commit takes some 50 bytes.
type graph struct {
	ids       []byte   // idSize bytes for each commit, sorted
	trees     []byte   // likewise; empty unless trees are kept
	committed []int64  // seconds since 1970
	authored  []int64  // likewise
	first     []uint32 // the parents of commit n are parents[first[n]:first[n+1]]
	parents   []int32  // numbers of commits, or missing
}

func (g *graph) len() int { return len(g.committed) }

func (g *graph) id(n int32) id { return id(g.ids[int(n)*idSize:]) }

func (g *graph) tree(n int32) id { return id(g.trees[int(n)*idSize:]) }

func (g *graph) parentsOf(n int32) []int32 { return g.parents[g.first[n]:g.first[n+1]] }

// find is the number of a commit, or missing.
func (g *graph) find(name id) int32 {
	n := g.after(name)
	if n < g.len() && g.id(int32(n)) == name { //nolint:gosec // n is less than the number of commits
		return int32(n) //nolint:gosec // likewise
	}
	return missing
}

// after is the number of the first commit whose name is not less than this one.
func (g *graph) after(name id) int {
	return sort.Search(g.len(), func(i int) bool { return bytes.Compare(g.ids[i*idSize:(i+1)*idSize], name[:]) >= 0 })
}

// beginning are the commits whose names begin with these lower-case digits.
func (g *graph) beginning(digits string) []int32 {
	lowest, ok := parseID([]byte(digits + strings.Repeat("0", 2*idSize-len(digits))))
	if !ok {
		return nil
	}
	var found []int32
	for n := g.after(lowest); n < g.len(); n++ {
		if !strings.HasPrefix(g.id(int32(n)).String(), digits) { //nolint:gosec // n is less than the number of commits
			break
		}
		found = append(found, int32(n)) //nolint:gosec // likewise
	}
	return found
}

// cut tells whether any of these commits has a parent that is missing.
func (g *graph) cut(commits set) bool {
	return slices.Contains(g.parents, missing) && commits.any(func(n int32) bool { return slices.Contains(g.parentsOf(n), missing) })
}

// ancestors are the commits that these lead to, themselves among them.
func (g *graph) ancestors(of ...int32) set { return g.outside(nil, of...) }

// outside are the commits that these lead to without going through others.
func (g *graph) outside(others set, of ...int32) set {
	seen, next := newSet(g.len()), []int32(nil)
	push := func(n int32) {
		if n != missing && !seen.has(n) && (others == nil || !others.has(n)) {
			seen.add(n)
			next = append(next, n)
		}
	}
	for _, n := range of {
		push(n)
	}
	for len(next) > 0 {
		n := next[len(next)-1]
		next = next[:len(next)-1]
		for _, parent := range g.parentsOf(n) {
			push(parent)
		}
	}
	return seen
}

// set is a set of commits.
type set []uint64

func newSet(size int) set { return make(set, (size+63)/64) }

func (s set) has(n int32) bool { return s[n>>6]&(1<<(n&63)) != 0 }

func (s set) add(n int32) { s[n>>6] |= 1 << (n & 63) }

// any asks about every commit until one says yes.
func (s set) any(yes func(int32) bool) bool {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if yes(int32(i<<6 + bits.TrailingZeros64(word))) { //nolint:gosec // commits are numbered by int32
				return true
			}
		}
	}
	return false
}

// gathering collects commits, in any order, to make a graph.
type gathering struct {
	withTrees bool
	ids       []byte
	trees     []byte
	committed []int64
	authored  []int64
	first     []uint32
	parents   []byte // idSize bytes for each parent
}

func (b *gathering) add(name id, c facts) {
	b.ids = append(b.ids, name[:]...)
	if b.withTrees {
		b.trees = append(b.trees, c.tree[:]...)
	}
	b.committed = append(b.committed, c.committed)
	b.authored = append(b.authored, c.authored)
	b.first = append(b.first, uint32(len(b.parents)/idSize)) //nolint:gosec // bounded by the size of a pack
	for _, parent := range c.parents {
		b.parents = append(b.parents, parent[:]...)
	}
}

func (b *gathering) addAll(g *graph) {
	var c facts
	for n := range int32(g.len()) { //nolint:gosec // commits are numbered by int32
		c.committed, c.authored, c.parents = g.committed[n], g.authored[n], c.parents[:0]
		for _, parent := range g.parentsOf(n) {
			c.parents = append(c.parents, g.id(parent))
		}
		if b.withTrees {
			c.tree = g.tree(n)
		}
		b.add(g.id(n), c)
	}
}

func (b *gathering) id(n int32) []byte { return b.ids[int(n)*idSize : int(n+1)*idSize] }

// order numbers the commits by name, each once.
func (b *gathering) order() []int32 {
	order := make([]int32, len(b.committed))
	for n := range order {
		order[n] = int32(n)
	}
	slices.SortFunc(order, func(x, y int32) int { return bytes.Compare(b.id(x), b.id(y)) })
	return slices.CompactFunc(order, func(x, y int32) bool { return bytes.Equal(b.id(x), b.id(y)) })
}

// graph makes the graph of what was added.
func (b *gathering) graph() *graph {
	order := b.order()
	g := &graph{
		ids: make([]byte, 0, len(order)*idSize), committed: make([]int64, len(order)), authored: make([]int64, len(order)),
		first: make([]uint32, len(order)+1), parents: make([]int32, 0, len(b.parents)/idSize),
	}
	for n, from := range order {
		g.ids = append(g.ids, b.id(from)...)
		g.committed[n], g.authored[n] = b.committed[from], b.authored[from]
		if b.withTrees {
			g.trees = append(g.trees, b.trees[int(from)*idSize:int(from+1)*idSize]...)
		}
	}
	for n, from := range order {
		end := len(b.parents) / idSize
		if int(from)+1 < len(b.first) {
			end = int(b.first[from+1])
		}
		for p := int(b.first[from]); p < end; p++ {
			g.parents = append(g.parents, g.find(id(b.parents[p*idSize:])))
		}
		g.first[n+1] = uint32(len(g.parents)) //nolint:gosec // bounded by the size of a pack
	}
	return g
}
