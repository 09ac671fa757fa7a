package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// deployed is a deployment of an object of namespace argocd, named cart.
func deployed(kind dora.Kind) *dora.Event {
	return &dora.Event{
		Service: "checkout", Subject: dora.Subject{Kind: kind, Namespace: "argocd", Name: "cart", UID: "uid-cart"},
		Version:  &dora.Version{Images: []string{"acme/envoy:1", "acme/web:abcdef1"}},
		Previous: dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{"acme/envoy:1", "acme/web:abcdef0"}}},
	}
}

// cluster is what the API server has, and what it was asked for.
type cluster struct {
	*Sources
	asked []string
}

// clusterOf has these objects. The ledger remembers the labels of cart. Failures are what the server answers for a name instead.
func clusterOf(t *testing.T, failures map[string]error, objects ...client.Object) *cluster {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{}
	get := func(ctx context.Context, to client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
		c.asked = append(c.asked, key.String())
		if err := failures[key.Name]; err != nil {
			return err
		}
		return to.Get(ctx, key, object, opts...)
	}
	all := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	server := interceptor.NewClient(all.Build(), interceptor.Funcs{Get: get})
	remembered := ledger.Subject{Labels: map[string]string{"team": "buy"}}
	c.Sources = &Sources{Targets: NewTargets(server, []string{"platform"}), Live: server, Lookup: func(uid string) (ledger.Subject, bool) {
		return remembered, uid == "uid-cart"
	}}
	return c
}

func secret(key string, data map[string]string) *corev1.Secret {
	namespace, name, _ := strings.Cut(key, "/")
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

// sourced is a target of namespace argocd with that source.
func sourced(t *testing.T, source string) client.Object {
	t.Helper()
	return target(t, "argocd/all", `{applications: {}, rollouts: {}, source: `+source+`}`, 0)
}

// resolve asks for the commits of a deployment where no server, and no registry, must be asked.
func resolve(t *testing.T, source *commit.Source) commit.Answer {
	t.Helper()
	nobody := &unasked{t}
	resolver := &commit.Resolver{Images: nobody, Providers: map[commit.Kind]commit.Provider{commit.Git: nobody}}
	answer, err := resolver.Resolve(t.Context(), &commit.Request{Source: *source, Version: commit.Version{Image: "acme/web:abcdef1"}})
	if err != nil {
		t.Error(err)
	}
	return answer
}

type unasked struct{ t *testing.T }

func (u *unasked) Open(_ context.Context, at commit.Location) (commit.Repository, error) {
	u.t.Error("a repository was opened: " + at.URL)
	return nil, commit.ErrNoRepository
}

func (u *unasked) Labels(_ context.Context, image string, _ commit.PullSecrets) (commit.Labels, error) {
	u.t.Error("an image was asked for its labels: " + image)
	return commit.Labels{Source: "https://github.com/acme/guessed"}, nil
}

func TestWhoSaysWhereADeploymentsCommitsAre(t *testing.T) {
	const suspended = `{applications: {matchLabels: {team: buy}}, suspend: true, source: {squash: true}}`
	for name, test := range map[string]struct {
		targets []client.Object
		want    string
		counted []string
	}{
		"nobody": {},
		"nobody, where no target has a source": {
			targets: []client.Object{target(t, "argocd/a", `{applications: {}}`, 0)}, counted: []string{"argocd/a"},
		},
		"nobody, if a target of another namespace has one": {
			targets: []client.Object{target(t, "shop/a", `{applications: {}, source: {}}`, 0)},
		},
		"nobody, if the target with one is refused": {
			targets: []client.Object{target(t, "argocd/a", `{applications: {}, source: {tagPattern: x}}`, 0)},
		},
		"the oldest that has a source, suspended, by the labels that the ledger remembers": {
			targets: []client.Object{
				target(t, "argocd/none", `{applications: {}}`, 3*time.Hour),
				target(t, "platform/first", suspended, 2*time.Hour),
				target(t, "argocd/second", `{applications: {}, source: {}}`, time.Hour),
				target(t, "argocd/other", `{applications: {matchLabels: {team: sell}}, source: {}}`, 4*time.Hour),
			},
			want: "platform/first", counted: []string{"argocd/none", "platform/first", "argocd/second"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := clusterOf(t, nil, test.targets...)
			owner, err := c.Owner(t.Context(), deployed(dora.KindApplication))
			if owner != test.want || err != nil {
				t.Errorf("got %q (%v), want %q", owner, err, test.want)
			}
			selection, err := c.Selecting(t.Context(), deployed(dora.KindApplication))
			var counted []string
			for _, n := range selection.Names() {
				counted = append(counted, n.String())
			}
			if !slices.Equal(counted, test.counted) || err != nil {
				t.Errorf("counted by %v (%v), want %v", counted, err, test.counted)
			}
			source, err := c.Source(t.Context(), deployed(dora.KindApplication))
			if (source != nil) != (test.want != "") || err != nil {
				t.Errorf("source %v, %v", source, err)
			}
			if source != nil && !source.Squash {
				t.Error("the source is another target's")
			}
			if len(c.asked) > 0 {
				t.Errorf("the API server was asked for %v", c.asked)
			}
		})
	}
}

func TestTargetsThatCannotBeListedAreAskedForAgain(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the cache is not ready")
	reader := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return cause },
	}).Build()
	s := &Sources{Targets: NewTargets(reader, nil), Live: reader, Lookup: func(string) (ledger.Subject, bool) { return ledger.Subject{}, false }}
	if _, err := s.Owner(t.Context(), deployed(dora.KindApplication)); !errors.Is(err, cause) {
		t.Errorf("Owner: %v", err)
	}
	if _, err := s.Selecting(t.Context(), deployed(dora.KindApplication)); !errors.Is(err, cause) {
		t.Errorf("Selecting: %v", err)
	}
	if source, err := s.Source(t.Context(), deployed(dora.KindApplication)); source != nil || !errors.Is(err, cause) {
		t.Errorf("Source: %v, %v", source, err)
	}
}

func TestWhereTheRepositoryIsTold(t *testing.T) {
	annotated := func(text string) client.Object {
		a := app("cart", "")
		a.Annotations = map[string]string{"example.com/repository": text}
		return a
	}
	const byAnnotation = `{repository: {fromAnnotation: example.com/repository}}`
	for name, test := range map[string]struct {
		source, kind string
		objects      []client.Object
		want         commit.Source
	}{
		"by the target": {
			source: `{repository: {url: "git@github.com:acme/checkout.git"}, path: services/checkout}`,
			want: commit.Source{
				Repository: "ssh://git@github.com/acme/checkout", Hosts: []string{"github.com"}, RangeOptions: commit.RangeOptions{Path: "services/checkout"},
			},
		},
		"by the target, a folder": {
			source: `{repository: {url: "file:///srv/git/checkout"}}`, want: commit.Source{Repository: "file:///srv/git/checkout"},
		},
		"by a template": {
			source: `{repository: {template: "https://github.com/{labels.team}/{image}"}, path: "{namespace}/{name}/{service}"}`,
			want: commit.Source{
				Repository: "https://github.com/buy/web", Hosts: []string{"github.com"}, RangeOptions: commit.RangeOptions{Path: "argocd/cart/checkout"},
			},
		},
		"by a template, with the image that may carry the commit": {
			source: `{repository: {template: "https://github.com/acme/{image}"}, image: "*/none"}`,
			want:   commit.Source{Untold: "{image}: no image of this version may carry the commit", Hosts: []string{"github.com"}, Image: "*/none"},
		},
		"by nobody, if a label is missing": {
			source: `{repository: {template: "https://github.com/{labels.owner}/{service}"}}`,
			want:   commit.Source{Untold: "{labels.owner}: the object has no such label", Hosts: []string{"github.com"}},
		},
		"by nobody, if a label of the path is missing": {
			source: `{path: "{labels.folder}"}`, want: commit.Source{Untold: "{labels.folder}: the object has no such label"},
		},
		"by the image": {source: `{}`},
		"by an annotation": {
			source: byAnnotation, objects: []client.Object{annotated(" https://me:hunter2@Git.Example.com/acme/checkout.git ")},
			want: commit.Source{Repository: "https://git.example.com/acme/checkout", Foreign: true},
		},
		"by the annotation of a Rollout": {
			source: byAnnotation, kind: "Rollout", objects: []client.Object{func() client.Object {
				ro := rollout("argocd", "cart", "")
				ro.Annotations = map[string]string{"example.com/repository": "git@git.example.com:acme/checkout"}
				return ro
			}()},
			want: commit.Source{Repository: "ssh://git@git.example.com/acme/checkout", Foreign: true},
		},
		"by nobody, if the annotation is missing": {
			source: byAnnotation, objects: []client.Object{app("cart", "")},
			want: commit.Source{Untold: "the Application has no annotation example.com/repository", Foreign: true},
		},
		"by nobody, if the object is gone": {
			source: byAnnotation, kind: "Rollout",
			want: commit.Source{Untold: "the Rollout that has the annotation example.com/repository is gone", Foreign: true},
		},
		"by nobody, if the annotation cannot be read": {
			source: byAnnotation, objects: []client.Object{annotated("ask me:hunter2")},
			want: commit.Source{
				Untold: "annotation example.com/repository: write it as https://host/path, ssh://git@host/path, git@host:path or file:///path", Foreign: true,
			},
		},
		"with all that the target says": {
			source: `{provider: GitLab, time: author, squash: true, hosts: [a, b], image: "*/web"}`,
			want: commit.Source{
				Kind: commit.GitLab, Hosts: []string{"a", "b"}, Image: "*/web", RangeOptions: commit.RangeOptions{Clock: commit.Author, Squash: true},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			kind := dora.KindApplication
			if test.kind != "" {
				kind = dora.Kind(test.kind)
			}
			got, err := clusterOf(t, nil, append(test.objects, sourced(t, test.source))...).Source(t.Context(), deployed(kind))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got, cmp.AllowUnexported(dora.TagPattern{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Untold == "" {
				return
			}
			if answer := resolve(t, got); answer.Reason != commit.NoRepository || answer.Message != test.want.Untold {
				t.Errorf("answered %+v", answer)
			}
		})
	}
}

func TestAnAnnotationOpensNoFolder(t *testing.T) {
	a := app("cart", "")
	a.Annotations = map[string]string{"repo": "file:///srv/git/secret"}
	source, err := clusterOf(t, nil, a, sourced(t, `{repository: {fromAnnotation: repo}}`)).Source(t.Context(), deployed(dora.KindApplication))
	if err != nil || !source.Foreign {
		t.Fatalf("got %+v, %v", source, err)
	}
	if answer := resolve(t, source); answer.Reason != commit.NoRepository {
		t.Errorf("answered %+v", answer)
	}
}

func TestAnAnnotationThatCannotBeAskedFor(t *testing.T) {
	down := apierrors.NewServiceUnavailable("etcd has no leader")
	missing := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "argoproj.io", Kind: "Application"}}
	for name, test := range map[string]struct {
		failure error
		untold  string
	}{
		"is asked for again":               {failure: down},
		"is gone if its kind is not there": {failure: missing, untold: "the Application that has the annotation repo is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clusterOf(t, map[string]error{"cart": test.failure}, sourced(t, `{repository: {fromAnnotation: repo}}`))
			source, err := c.Source(t.Context(), deployed(dora.KindApplication))
			if test.untold == "" {
				if !errors.Is(err, test.failure) || commit.ReasonOf(err) != commit.Unreachable {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || source.Untold != test.untold {
				t.Errorf("got %+v, %v", source, err)
			}
		})
	}
}

func TestSecretsAreReadFromTheTargetsOwnNamespace(t *testing.T) {
	c := clusterOf(t, nil,
		target(t, "platform/all", `{applications: {}, source: {repository: {url: "https://github.com/acme/x"}, secretRef: {name: git}, pullSecrets: [{name: b}, {name: a}]}}`, 0),
		secret("platform/git", map[string]string{"username": "robot", "password": "ours"}),
		secret("platform/a", map[string]string{".dockerconfigjson": "first"}), secret("platform/b", map[string]string{".dockerconfigjson": "second"}),
		secret("argocd/git", map[string]string{"password": "theirs"}), secret("argocd/a", nil), secret("argocd/b", nil),
	)
	source, err := c.Source(t.Context(), deployed(dora.KindApplication))
	if err != nil {
		t.Fatal(err)
	}
	if source.Credentials.Username != "robot" || source.Credentials.Password != "ours" {
		t.Error("the credentials are others")
	}
	if len(source.Pull) != 2 || string(source.Pull[0]) != "second" || string(source.Pull[1]) != "first" {
		t.Error("the pull secrets are others")
	}
	if want := []string{"platform/git", "platform/b", "platform/a"}; !slices.Equal(c.asked, want) {
		t.Errorf("read %v, want %v", c.asked, want)
	}
}

func TestASecretThatCannotBeUsedSaysWhatToMend(t *testing.T) {
	const git, pull = `{hosts: [github.com], secretRef: {name: git}}`, `{pullSecrets: [{name: git}]}`
	resource := schema.GroupResource{Resource: "secrets"}
	forbidden := apierrors.NewForbidden(resource, "git", errors.New("no RoleBinding"))
	down := apierrors.NewServiceUnavailable("etcd has no leader")
	for name, test := range map[string]struct {
		source  string
		data    map[string]string
		failure error
		want    string
		// transient: nobody has to mend the Secret.
		transient bool
	}{
		"missing":               {source: git, failure: apierrors.NewNotFound(resource, "git"), want: "there is no Secret argocd/git: create it"},
		"missing, for images":   {source: pull, failure: apierrors.NewNotFound(resource, "git"), want: "there is no Secret argocd/git: create it"},
		"forbidden":             {source: git, failure: forbidden, want: "by a Role and a RoleBinding in namespace argocd"},
		"forbidden, for images": {source: pull, failure: forbidden, want: "by a Role and a RoleBinding in namespace argocd"},
		"an unknown key":        {source: git, data: map[string]string{"pasword": "hunter2"}, want: "Secret argocd/git: key pasword means nothing here: use "},
		"half an App":           {source: git, data: map[string]string{"githubAppPrivateKey": "hunter2"}, want: "Secret argocd/git: githubAppPrivateKey is there and githubAppID is not"},
		"an App without digits": {source: git, data: map[string]string{"githubAppID": "hunter2"}, want: "Secret argocd/git: key githubAppID: not a number"},
		"no known hosts":        {source: git, data: map[string]string{"sshPrivateKey": "hunter2"}, want: "an SSH key needs known_hosts"},
		"another type of Secret, for images": {
			source: pull, data: map[string]string{"password": "hunter2"}, want: "Secret argocd/git has no key .dockerconfigjson: make it with kubectl create secret docker-registry",
		},
		"a server that does not answer": {source: git, failure: down, want: "cannot read Secret argocd/git: etcd has no leader", transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := clusterOf(t, map[string]error{"git": test.failure}, sourced(t, test.source), secret("argocd/git", test.data))
			_, err := c.Source(t.Context(), deployed(dora.KindApplication))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			want := commit.SecretNotUsable
			if test.transient {
				want = commit.Unreachable
			}
			if reason := commit.ReasonOf(err); reason != want {
				t.Errorf("got reason %s, want %s", reason, want)
			}
		})
	}
}
