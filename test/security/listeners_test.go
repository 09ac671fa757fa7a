package security_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// opens are the ways to wait for connections.
var opens = map[string][]string{
	"net":  {"Listen", "ListenTCP", "ListenUDP", "ListenUnix", "ListenPacket", "ListenConfig", "FileListener"},
	"http": {"ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS", "Server"},
	"tls":  {"Listen", "NewListener"},
	"grpc": {"NewServer"},
}

// waits are the places of the program where that is done, with the reason.
var waits = map[string]string{
	"internal/receive/server.go net.ListenConfig": "others report over HTTP what Argo does not see; off unless asked for",
	"internal/receive/server.go http.Server":      "it has bounds for all that anybody may cost, see the package",
	"internal/receive/server.go tls.NewListener":  "likewise",
	"internal/demo/database.go net.ListenConfig":  "make demo asks the system for a free port, and closes it",
}

// TestOnlyReceiversTakeBodies: what else the controller serves are the probes and metrics of controller-runtime, which read no request's body.
func TestOnlyReceiversTakeBodies(t *testing.T) {
	found := map[string]bool{}
	for _, folder := range []string{"api", "cmd", "controllers", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(filepath.Dir(path), "test") {
				err = addListeners(path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for place := range found {
		if waits[place] == "" {
			t.Errorf("%s: something waits for connections there; if it takes what others send, SECURITY.md has to say what holds them", place)
		}
	}
	for place := range waits {
		if !found[place] {
			t.Errorf("nothing waits for connections any more at %s", place)
		}
	}
}

func addListeners(path string, found map[string]bool) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok && slices.Contains(opens[of.Name], selector.Sel.Name) {
			found[strings.TrimPrefix(filepath.ToSlash(path), root+"/")+" "+of.Name+"."+selector.Sel.Name] = true
		}
		return true
	})
	return nil
}
