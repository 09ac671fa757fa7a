package oci_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/oci"
	"github.com/dora-controller/dora-controller/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	revision = "org.opencontainers.image.revision"
	source   = "org.opencontainers.image.source"
	sha      = "5f0c2a8d9be14c7d0a3b6f1e2d4c5b6a79808182"
	foreign  = "0123456789abcdef0123456789abcdef01234567"
	home     = "https://git.example.com/team/app"
)

type keyed = map[string]string

// hub is a registry that holds images, with what stands in front of it.
type hub struct {
	*httptest.Server
	store http.Handler

	mu    sync.Mutex
	asked []*http.Request
}

// newHub starts a registry behind front, which gets every request and the registry to pass it on to. Nil is nothing in front.
func newHub(t *testing.T, front func(w http.ResponseWriter, r *http.Request, registry http.Handler)) *hub {
	t.Helper()
	h := startless(front)
	h.Start()
	t.Cleanup(h.Close)
	return h
}

// newTLSHub is newHub with https.
func newTLSHub(t *testing.T, front func(w http.ResponseWriter, r *http.Request, registry http.Handler)) *hub {
	t.Helper()
	h := startless(front)
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func startless(front func(http.ResponseWriter, *http.Request, http.Handler)) *hub {
	h := &hub{store: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r)
		h.mu.Unlock()
		if front == nil {
			h.store.ServeHTTP(w, r)
			return
		}
		front(w, r, h.store)
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	return h
}

func (h *hub) host() string { return h.Listener.Addr().String() }

func (h *hub) requests() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// push puts an image or an index into the registry, past what stands in front of it, and returns how a pod refers to it.
func (h *hub) push(t *testing.T, repository, tag string, what made) string {
	t.Helper()
	for _, p := range what.parts {
		h.push(t, repository, digest.FromBytes(p.manifest).String(), p)
	}
	if what.config != nil {
		h.put(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest.FromBytes(what.config).String(), "", what.config)
	}
	h.put(t, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, string(what.kind), what.manifest)
	return h.host() + "/" + repository + ":" + tag
}

func (h *hub) put(t *testing.T, method, path, kind string, body []byte) {
	t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	h.store.ServeHTTP(w, req)
	if w.Code != http.StatusCreated {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

// labels asks an inspector that may reach this machine, and trusts the hub's certificate.
func (h *hub) labels(t *testing.T, image string, pull ...[]byte) (commit.Labels, error) {
	t.Helper()
	return inspector(t, oci.Options{CA: h.ca()}).Labels(t.Context(), image, pull)
}

func (h *hub) ca() []byte {
	if h.TLS == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
}

func inspector(t *testing.T, o oci.Options) *oci.Inspector {
	t.Helper()
	if o.Guard.Allowed == nil {
		o.Guard = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	}
	i, err := oci.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// made is an image or an index as a builder makes it.
type made struct {
	kind     types.MediaType
	manifest []byte
	config   []byte
	parts    []made
}

func (m made) digest() string { return digest.FromBytes(m.manifest).String() }

// image is one of OCI's types with labels in its config and annotations in its manifest.
func image(t *testing.T, labels, annotations keyed) made {
	t.Helper()
	return imageOf(t, types.OCIManifestSchema1, types.OCIConfigJSON, labels, annotations)
}

func imageOf(t *testing.T, kind, configKind types.MediaType, labels, annotations keyed) made {
	t.Helper()
	config := encode(t, v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Labels: labels}})
	return made{kind, encode(t, v1.Manifest{
		SchemaVersion: 2, MediaType: kind, Annotations: annotations, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: configKind, Size: int64(len(config)), Digest: hash(config)},
	}), config, nil}
}

// part is an image in an index, filed under a platform.
type part struct {
	made

	platform    string
	annotations keyed // of the descriptor
}

func index(t *testing.T, annotations keyed, parts ...part) made {
	t.Helper()
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: annotations, Manifests: []v1.Descriptor{}}
	whole := made{kind: types.OCIImageIndex}
	for _, p := range parts {
		d := v1.Descriptor{MediaType: p.kind, Size: int64(len(p.manifest)), Digest: hash(p.manifest), Annotations: p.annotations}
		if p.platform != "" {
			d.Platform, _ = v1.ParsePlatform(p.platform)
		}
		m.Manifests, whole.parts = append(m.Manifests, d), append(whole.parts, p.made)
	}
	whole.manifest = encode(t, m)
	return whole
}

// attestation is one as BuildKit files it.
func attestation(t *testing.T, of made) part {
	t.Helper()
	return part{image(t, keyed{revision: foreign, source: "https://attestation.example.com/x"}, nil), "unknown/unknown", keyed{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.digest(),
	}}
}

func encode(t *testing.T, what any) []byte {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hash(of []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: digest.FromBytes(of).Encoded()}
}

// secret is a .dockerconfigjson as `kubectl create secret docker-registry` writes it.
func secret(place, user, password string) []byte {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return fmt.Appendf(nil, `{"auths":{%q:{"username":%q,"password":%q,"email":"a@example.com","auth":%q}}}`, place, user, password, auth)
}

// spec writes an error as the distribution specification has it.
func spec(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"in other words","detail":{"a":1}}]}`, code)
}

// tokens is a token server as the distribution specification has it: a token for a service and a scope, to who has the password.
type tokens struct{ user, password, token string }

// front stands before a registry and wants tokens for it; realm is where they are had, empty for the registry's own host.
func (a tokens) front(realm string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		switch {
		case r.URL.Path == "/token":
			a.ServeHTTP(w, r)
		case r.Header.Get("Authorization") == "Bearer "+a.token:
			registry.ServeHTTP(w, r)
		default:
			at := realm
			if at == "" {
				at = scheme(r) + "://" + r.Host + "/token"
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="the registry",scope="repository:team/app:pull"`, at))
			spec(w, http.StatusUnauthorized, "UNAUTHORIZED")
		}
	}
}

func (a tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	switch {
	case given != (a.user != "") || user != a.user || password != a.password:
		spec(w, http.StatusUnauthorized, "UNAUTHORIZED")
	case r.FormValue("service") != "the registry" || r.FormValue("scope") != "repository:team/app:pull":
		spec(w, http.StatusBadRequest, "UNSUPPORTED")
	default:
		fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, a.token)
	}
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// endless writes until nobody reads any more, and says how much that was.
func endless(w http.ResponseWriter, begin string) int {
	n, _ := io.WriteString(w, begin)
	chunk := bytes.Repeat([]byte(" "), 1<<16)
	for n < 1<<30 {
		more, err := w.Write(chunk)
		if n += more; err != nil {
			break
		}
	}
	return n
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

func isBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }

// basic wants a password with each request.
func basic(user, password string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="the registry"`)
			spec(w, http.StatusUnauthorized, "UNAUTHORIZED")
			return
		}
		registry.ServeHTTP(w, r)
	}
}

func listen(t *testing.T, address string) (net.Listener, error) {
	t.Helper()
	return (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
}

// listenOn starts a server that nobody should reach, and says whether somebody did.
func listenOn(t *testing.T, address string) (string, *atomic.Bool) {
	t.Helper()
	listener, err := listen(t, address)
	if err != nil {
		t.Fatal(err)
	}
	var reached atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			reached.Store(true)
			_ = connection.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String(), &reached
}
