package cloudevents_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	cdevents "github.com/cdevents/sdk-go/pkg/api"
	cdevents04 "github.com/cdevents/sdk-go/pkg/api/v04"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// options are those of a sink that a receiver of the same settings lets in.
func options(r *cloudeventstest.Receiver) cloudevents.Options {
	return cloudevents.Options{Name: "shop/events", Cluster: "eu-1", URL: r.URL, CA: r.CA, Version: "v1.2.3", Guard: cloudeventstest.Here}
}

func connect(t *testing.T, o cloudevents.Options) *cloudevents.Sink {
	t.Helper()
	s, err := cloudevents.New(o)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return s
}

// plain is a receiver that lets everybody in, with a sink.
func plain(t *testing.T, change func(o *cloudevents.Options)) (*cloudeventstest.Receiver, *cloudevents.Sink) {
	t.Helper()
	r := cloudeventstest.New(t, cloudeventstest.Settings{})
	o := options(r)
	if change != nil {
		change(&o)
	}
	return r, connect(t, o)
}

// hopeful sends failed deployments, and those that nobody knows the end of, as if they had succeeded: CDEvents has no words for them.
type hopeful struct{ *cloudevents.Sink }

func (h hopeful) Send(ctx context.Context, events []dora.Event) (string, error) {
	events = slices.Clone(events)
	for i := range events {
		if e := &events[i]; e.Outcome == dora.Failed || e.Outcome == dora.Unknown {
			e.Outcome = dora.Succeeded
		}
	}
	return h.Sink.Send(ctx, events)
}

func TestContract(t *testing.T) {
	down := map[string]func(r *cloudeventstest.Receiver){
		"unavailable": func(r *cloudeventstest.Receiver) { r.Answer(http.StatusServiceUnavailable, "") },
		"resetting":   (*cloudeventstest.Receiver).Reset,
	}
	for _, format := range []string{cloudevents.FormatDora, cloudevents.FormatCDEvents, cloudevents.FormatCDEvents04} {
		for _, mode := range []string{cloudevents.ModeStructured, cloudevents.ModeBinary} {
			for how, breakIt := range down {
				t.Run(format+" "+mode+" "+how, func(t *testing.T) {
					sinktest.Run(t, func(t *testing.T) sinktest.Destination {
						t.Helper()
						key, token := sinktest.Secret("key"), sinktest.Secret("token")
						r := cloudeventstest.New(t, cloudeventstest.Settings{Token: token, HMACKey: []byte(key), SignatureHeader: "X-Hub-Signature-256"})
						o := options(r)
						o.Format, o.Mode, o.Token, o.HMACKey, o.SignatureHeader = format, mode, token, []byte(key), "X-Hub-Signature-256"
						return sinktest.Destination{
							Sink: hopeful{connect(t, o)}, Arrived: r.IDs, Secrets: []string{key, token},
							Break: func() { breakIt(r) }, Mend: func() { r.Behave(nil) },
						}
					})
				})
			}
		}
	}
}

func TestTheAnswerIsWhatTheReceiverSaid(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	g.Expect(s.Send(t.Context(), sinktest.Events())).To(Equal("202 Accepted"))
	g.Expect(r.Received()[0].Header).To(HaveKeyWithValue("User-Agent", []string{"dora-controller/v1.2.3"}))
	g.Expect(r.Received()[0].Header).NotTo(Or(HaveKey("Authorization"), HaveKey("X-Dora-Signature-256")))
}

// failNth makes a receiver answer the nth request, counted from 1, in that way.
func failNth(r *cloudeventstest.Receiver, nth, status int, headers ...string) {
	seen := 0
	r.Behave(func(w http.ResponseWriter, _ *http.Request) bool {
		seen++
		if seen != nth {
			return false
		}
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(status)
		return true
	})
}

func TestTheFirstThatHasToWaitEndsTheBatch(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	failNth(r, 3, http.StatusTooManyRequests, "Retry-After", "7")
	_, err := s.Send(t.Context(), sinktest.Events())

	g.Expect(r.IDs()).To(Equal([]string{"e1", "e2"}))
	g.Expect(r.Asked()).To(HaveLen(3), "what is behind it is not tried")
	partial, ok := errors.AsType[*sink.PartialError](err)
	g.Expect(ok).To(BeTrue())
	g.Expect(slices.Sorted(maps.Keys(partial.Failed))).To(Equal([]string{"e3", "e4", "e5", "e6"}))
	g.Expect(sink.RetryAfter(partial.Failed["e3"])).To(Equal(7 * time.Second))
	for _, behind := range []string{"e4", "e5", "e6"} {
		g.Expect(sink.RetryAfter(partial.Failed[behind])).To(BeZero(), "nobody asked that of them")
		g.Expect(sink.IsPermanent(partial.Failed[behind])).To(BeFalse())
		g.Expect(sink.ReasonOf(partial.Failed[behind])).To(Equal(sink.RateLimited))
	}

	g.Expect(s.Send(t.Context(), sinktest.Events()[2:])).To(Equal("202 Accepted"))
	g.Expect(r.IDs()).To(Equal([]string{"e1", "e2", "e3", "e4", "e5", "e6"}))
}

func TestWhatIsRefusedForGoodHoldsNobodyUp(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	failNth(r, 2, http.StatusUnprocessableEntity)
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(r.IDs()).To(Equal([]string{"e1", "e3", "e4", "e5", "e6"}))
	partial, ok := errors.AsType[*sink.PartialError](err)
	g.Expect(ok).To(BeTrue())
	g.Expect(partial.Failed).To(HaveLen(1))
	g.Expect(sink.IsPermanent(partial.Failed["e2"])).To(BeTrue())
}

func TestTheErrorOfOneEventIsItsOwn(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	r.Answer(http.StatusBadRequest, "what is\nthis?")
	_, err := s.Send(t.Context(), sinktest.Events()[:1])
	g.Expect(err).To(MatchError("the destination answered 400 Bad Request, and said: what is this?"))
	g.Expect(sink.IsPermanent(err)).To(BeTrue())
}

func TestAnEventThatCannotBeWrittenIsRefusedAlone(t *testing.T) {
	r, s := plain(t, nil)
	for why, spoil := range map[string]func(e *dora.Event){
		"no id":                 func(e *dora.Event) { e.ID = "" },
		"no type":               func(e *dora.Event) { e.Type = "" },
		"another type":          func(e *dora.Event) { e.Type = "promoted" },
		"another outcome":       func(e *dora.Event) { e.Outcome = "paused" },
		"a line break":          func(e *dora.Event) { e.Service = "cart\nX-Evil: 1" },
		"a noncharacter":        func(e *dora.Event) { e.Service = "cart\ufffe" },
		"no UTF-8":              func(e *dora.Event) { e.Service = "cart\xff" },
		"the year ten thousand": func(e *dora.Event) { e.OccurredAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(why, func(t *testing.T) {
			g := NewWithT(t)
			events := sinktest.Events()[:2]
			before := len(r.Received())
			spoil(&events[0])
			_, err := s.Send(t.Context(), events)
			partial, ok := errors.AsType[*sink.PartialError](err)
			g.Expect(ok).To(BeTrue())
			g.Expect(sink.IsPermanent(partial.Failed[events[0].ID])).To(BeTrue())
			g.Expect(r.Received()).To(HaveLen(before + 1))
		})
	}
}

func TestWhoIsLetIn(t *testing.T) {
	token, password, key := sinktest.Secret("token"), sinktest.Secret("password"), []byte(sinktest.Secret("key"))
	for name, test := range map[string]struct {
		demands cloudeventstest.Settings
		has     cloudevents.Options
		want    sink.Reason
	}{
		"a token":               {cloudeventstest.Settings{Token: token}, cloudevents.Options{Token: token}, ""},
		"another token":         {cloudeventstest.Settings{Token: token}, cloudevents.Options{Token: sinktest.Secret("old")}, sink.CredentialsRefused},
		"no token":              {cloudeventstest.Settings{Token: token}, cloudevents.Options{}, sink.CredentialsRefused},
		"a password":            {cloudeventstest.Settings{Username: "dora", Password: password}, cloudevents.Options{Username: "dora", Password: password}, ""},
		"a token, not password": {cloudeventstest.Settings{Username: "dora", Password: password}, cloudevents.Options{Token: token}, sink.CredentialsRefused},
		"a key":                 {cloudeventstest.Settings{HMACKey: key, SignatureHeader: cloudevents.DefaultSignatureHeader}, cloudevents.Options{HMACKey: key}, ""},
		"another key": {
			cloudeventstest.Settings{HMACKey: key, SignatureHeader: cloudevents.DefaultSignatureHeader},
			cloudevents.Options{HMACKey: []byte(sinktest.Secret("old"))},
			sink.CredentialsRefused,
		},
		"no key": {cloudeventstest.Settings{HMACKey: key, SignatureHeader: cloudevents.DefaultSignatureHeader}, cloudevents.Options{}, sink.CredentialsRefused},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := cloudeventstest.New(t, test.demands)
			test.has.Name, test.has.URL, test.has.Guard = "shop/events", r.URL, cloudeventstest.Here
			_, err := connect(t, test.has).Send(t.Context(), sinktest.Events()[:1])
			sinktest.KeepsSecrets(t, err, token, password, string(key), sinktest.Secret("old"))
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(sink.ReasonOf(err)).To(Equal(test.want))
			g.Expect(sink.IsPermanent(err)).To(BeFalse(), "a new Secret mends it")
			g.Expect(r.Received()).To(BeEmpty())
		})
	}
}

// signed is an event whose JSON is short enough to be written down.
var signed = dora.Event{
	Schema: dora.Schema, ID: "e7", Type: dora.TypeDegraded, Service: "cart",
	Subject:    dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: "u1"},
	OccurredAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ObservedAt: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
}

const signedBody = `{"schema":"dora/v1","id":"e7","type":"degraded","service":"cart",` +
	`"subject":{"kind":"Application","namespace":"argocd","name":"cart","uid":"u1"},` +
	`"occurred_at":"2026-03-01T12:00:00Z","observed_at":"2026-03-01T12:00:01Z"}`

// The signature and the revision below are those of
//
//	printf '%s' "$signedBody" | openssl dgst -sha256 -hmac canary-7d1f3b-key
//	printf '%s' "$signedBody" | openssl dgst -sha256 | cut -c1-16
const (
	signature = "sha256=3c386aec7c0c7a9d784030e746abfbe6545cfe92f0255f32b5e0c0863433f3cd"
	revision  = "2de0688a3828cbc3"
)

func TestTheSignatureIsThatOfOpenSSL(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) {
		o.Mode, o.HMACKey, o.SignatureHeader = cloudevents.ModeBinary, []byte(sinktest.Secret("key")), "x-signature"
	})
	g.Expect(s.Send(t.Context(), []dora.Event{signed})).To(Equal("202 Accepted"))
	g.Expect(string(r.Received()[0].Body)).To(Equal(signedBody))
	g.Expect(r.Received()[0].Header.Get("X-Signature")).To(Equal(signature))
	g.Expect(r.Received()[0].Header.Get("Ce-Dorarevision")).To(Equal(revision))
}

func TestAnEventThatWasCompletedHasItsIDAndAnotherRevision(t *testing.T) {
	for _, format := range []string{cloudevents.FormatDora, cloudevents.FormatCDEvents} {
		t.Run(format, func(t *testing.T) {
			g := NewWithT(t)
			r, s := plain(t, func(o *cloudevents.Options) { o.Format = format })
			event := sinktest.Events()[0]
			completed := event
			completed.Enrich(dora.CommitFacts{FirstCommitAt: event.OccurredAt.Add(-time.Hour), Commits: 1})
			g.Expect(s.Send(t.Context(), []dora.Event{event, event, completed})).NotTo(BeEmpty())
			g.Expect(r.IDs()).To(Equal([]string{"e1", "e1", "e1"}))
			var sources, revisions []string
			for _, one := range r.Received() {
				sources = append(sources, one.Event.Source())
				revisions = append(revisions, one.Event.Extensions()["dorarevision"].(string))
			}
			g.Expect(sources).To(Equal([]string{"/dora-controller/eu-1", "/dora-controller/eu-1", "/dora-controller/eu-1"}))
			g.Expect(revisions[1]).To(Equal(revisions[0]), "a retry")
			g.Expect(revisions[2]).NotTo(Equal(revisions[0]))
			g.Expect(string(r.Received()[2].Body)).To(ContainSubstring(`"lead_time_seconds":3600`))
		})
	}
}

// The header is what section 3.1.3.2 of the HTTP binding makes of the name: UTF-8 of ö is C3 B6.
func TestHeadersArePercentEncoded(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Mode, o.Cluster = cloudevents.ModeBinary, "eu 1" })
	event := sinktest.Events()[0]
	event.Service = `Rösterei "100%"`
	g.Expect(s.Send(t.Context(), []dora.Event{event})).To(Equal("202 Accepted"))
	g.Expect(r.Received()[0].Header.Get("Ce-Subject")).To(Equal("R%C3%B6sterei%20%22100%25%22"))
	g.Expect(r.Received()[0].Header.Get("Ce-Source")).To(Equal("/dora-controller/eu%25201"), "the escape of the address is a percent sign too")
	g.Expect(r.Received()[0].Event.Source()).To(Equal("/dora-controller/eu%201"))
	g.Expect(r.Received()[0].Event.Subject()).To(Equal(event.Service))
}

func TestARedirectIsNotFollowed(t *testing.T) {
	g := NewWithT(t)
	other, _ := plain(t, nil)
	r, s := plain(t, func(o *cloudevents.Options) { o.Token = sinktest.Secret("token") })
	r.Answer(http.StatusTemporaryRedirect, "", "Location", other.URL)
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Redirected))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	g.Expect(sink.ReasonOf(s.Check(t.Context()))).To(Equal(sink.Redirected))
	g.Expect(other.Asked()).To(BeEmpty())
}

func TestTheGuardRefusesWhatIsInside(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Guard = egress.Guard{} })
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.AddressRefused))
	g.Expect(sink.ReasonOf(s.Check(t.Context()))).To(Equal(sink.AddressRefused))
	g.Expect(r.Asked()).To(BeEmpty())
}

func TestACertificateOfOnesOwn(t *testing.T) {
	g := NewWithT(t)
	r := cloudeventstest.New(t, cloudeventstest.Settings{TLS: true})
	o := options(r)
	g.Expect(connect(t, o).Send(t.Context(), sinktest.Events())).To(Equal("202 Accepted"))
	g.Expect(connect(t, o).Check(t.Context())).To(Succeed())
	o.CA = nil
	_, err := connect(t, o).Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.CertificateRefused))
	g.Expect(sink.ReasonOf(connect(t, o).Check(t.Context()))).To(Equal(sink.CertificateRefused))
	o.CA = []byte("no certificate")
	_, err = cloudevents.New(o)
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsMissing))
}

func TestAReceiverThatDoesNotAnswer(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r.Hang(cancel)
	_, err := s.Send(ctx, sinktest.Events())
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(s.Check(ctx)).To(MatchError(context.Canceled))
	g.Expect(r.Asked()).To(HaveLen(1))
}

func TestALargeAnswerIsNotRead(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	r.Answer(http.StatusOK, strings.Repeat("a", 1<<20))
	g.Expect(s.Send(t.Context(), sinktest.Events())).To(Equal("200 OK"))
	r.Answer(http.StatusInternalServerError, strings.Repeat("a", 1<<20))
	_, err := s.Send(t.Context(), sinktest.Events()[:1])
	g.Expect(len(err.Error())).To(BeNumerically("<", 500))
}

// endless is a receiver that answers at once, says something, and never comes to an end.
func endless(t *testing.T, status int, said string) *cloudevents.Sink {
	t.Helper()
	_, s := plain(t, func(o *cloudevents.Options) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, said)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		o.URL = server.URL
	})
	return s
}

// Without a deadline, as here, whoever waits for the end waits for ever.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	g := NewWithT(t)
	g.Expect(endless(t, http.StatusAccepted, "thanks").Send(t.Context(), sinktest.Events())).To(Equal("202 Accepted"))
	refusing := endless(t, http.StatusUnauthorized, "not you")
	_, err := refusing.Send(t.Context(), sinktest.Events()[:1])
	g.Expect(err).To(MatchError("the destination answered 401 Unauthorized, and said: not you"))
	g.Expect(refusing.Check(t.Context())).To(MatchError("the destination answered 401 Unauthorized, and said: not you"))
}

// parrot is a server whose answer is no HTTP, and repeats the header with the credentials.
func parrot(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad\r\n"+request.Header.Get("Authorization")+" "+request.URL.Path+"\r\n\r\n")
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestAnAnswerThatIsNoHTTPTellsNoSecret(t *testing.T) {
	g := NewWithT(t)
	address := parrot(t)
	_, s := plain(t, func(o *cloudevents.Options) {
		o.URL, o.Token = address+"/hook/"+sinktest.Secret("path"), sinktest.Secret("token")
	})
	_, err := s.Send(t.Context(), sinktest.Events()[:1])
	g.Expect(err).To(MatchError("cannot reach " + strings.TrimPrefix(address, "http://") + ": what answered there does not speak HTTP, or broke off"))
	sinktest.KeepsSecrets(t, errors.Join(err, s.Check(t.Context())), sinktest.Canary)
}

func TestAWrongAddressSetsNoEventAside(t *testing.T) {
	for _, status := range []int{405, 406, 410, 411, 415, 501} {
		g := NewWithT(t)
		r, s := plain(t, nil)
		r.Answer(status, "")
		_, err := s.Send(t.Context(), sinktest.Events())
		partial, ok := errors.AsType[*sink.PartialError](err)
		g.Expect(ok).To(BeTrue())
		for _, err := range partial.Failed {
			g.Expect(sink.IsPermanent(err)).To(BeFalse(), "status %d", status)
		}
		g.Expect(r.Asked()).To(HaveLen(1), "all others would get the same answer")
	}
}

// gossip is a server that says all that it was told.
func gossip(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		user, password, _ := r.BasicAuth()
		_, _ = io.WriteString(w, r.URL.String()+" "+r.URL.RawQuery+" "+r.URL.Query().Get("code")+" "+user+":"+password)
		_ = r.Header.Write(w)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestNoErrorTellsASecret(t *testing.T) {
	path, code, token, password, key := sinktest.Secret("path"), sinktest.Secret("c%d e"), sinktest.Secret("token"), sinktest.Secret("pass word"), sinktest.Secret("key")
	for _, status := range []int{301, 400, 401, 403, 404, 429, 500, 503} {
		for _, o := range []cloudevents.Options{{Token: token}, {Username: "dora", Password: password}} {
			o.URL = gossip(t, status) + "/hook/" + path + "?code=" + url.QueryEscape(code)
			o.HMACKey, o.Guard = []byte(key), cloudeventstest.Here
			s := connect(t, o)
			_, err := s.Send(t.Context(), sinktest.Events())
			NewWithT(t).Expect(err).To(HaveOccurred())
			sinktest.KeepsSecrets(t, errors.Join(err, s.Check(t.Context())), path, code, url.QueryEscape(code), token, password, key, "canary")
		}
	}
	o := cloudevents.Options{URL: "http://127.0.0.1:1/hook/" + path + "?code=" + url.QueryEscape(code), Token: token, Guard: cloudeventstest.Here}
	_, err := connect(t, o).Send(t.Context(), sinktest.Events())
	sinktest.KeepsSecrets(t, errors.Join(err, connect(t, o).Check(t.Context())), "canary")
}

func TestSettingsThatAreWrong(t *testing.T) {
	for want, change := range map[string]func(o *cloudevents.Options){
		"url is no address":       func(o *cloudevents.Options) { o.URL = "://" + sinktest.Secret("url") },
		"such as https":           func(o *cloudevents.Options) { o.URL = "ftp://events.example.com/" + sinktest.Secret("url") },
		"url is no address such":  func(o *cloudevents.Options) { o.URL = "https:///" + sinktest.Secret("url") },
		"url holds credentials":   func(o *cloudevents.Options) { o.URL = "https://dora:" + sinktest.Secret("url") + "@events.example.com" },
		"format \"xml\"":          func(o *cloudevents.Options) { o.Format = "xml" },
		"mode \"batch\"":          func(o *cloudevents.Options) { o.Mode = "batch" },
		"signatureHeader \"a b\"": func(o *cloudevents.Options) { o.SignatureHeader = "a b" },
		"\"authorization\"":       func(o *cloudevents.Options) { o.SignatureHeader = "authorization" },
		"\"ce-id\"":               func(o *cloudevents.Options) { o.SignatureHeader = "ce-id" },
		"both token and username": func(o *cloudevents.Options) {
			o.Token, o.Username, o.Password = sinktest.Secret("t"), "dora", sinktest.Secret("p")
		},
		"or neither":           func(o *cloudevents.Options) { o.Password = sinktest.Secret("p") },
		"hold a colon":         func(o *cloudevents.Options) { o.Username, o.Password = "do:ra", sinktest.Secret("p") },
		"such as a line break": func(o *cloudevents.Options) { o.Token = sinktest.Secret("t") + "\n" },
		"ca.crt":               func(o *cloudevents.Options) { o.CA = []byte("x") },
	} {
		t.Run(want, func(t *testing.T) {
			o := cloudevents.Options{URL: "https://events.example.com/dora"}
			NewWithT(t).Expect(cloudevents.New(o)).NotTo(BeNil())
			change(&o)
			_, err := cloudevents.New(o)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
			sinktest.KeepsSecrets(t, err, "canary")
		})
	}
}

func TestCheck(t *testing.T) {
	for status, want := range map[int]sink.Reason{
		200: "", 204: "", 404: "", 405: "", 400: "", 415: "", 500: "", 501: "", 429: "",
		301: sink.Redirected, 308: sink.Redirected, 401: sink.CredentialsRefused, 403: sink.CredentialsRefused, 407: sink.CredentialsRefused,
		502: sink.Failing, 503: sink.Failing, 504: sink.Failing,
	} {
		g := NewWithT(t)
		r, s := plain(t, nil)
		r.Answer(status, "")
		err := s.Check(t.Context())
		g.Expect(r.Asked()).To(Equal([]string{http.MethodOptions}))
		if want == "" {
			g.Expect(err).NotTo(HaveOccurred(), "status %d", status)
			continue
		}
		g.Expect(err).To(HaveOccurred(), "status %d", status)
		g.Expect(sink.ReasonOf(err)).To(Equal(want), "status %d", status)
	}
}

func TestCheckShowsItsCredentials(t *testing.T) {
	g := NewWithT(t)
	r := cloudeventstest.New(t, cloudeventstest.Settings{Token: sinktest.Secret("token")})
	o := options(r)
	g.Expect(sink.ReasonOf(connect(t, o).Check(t.Context()))).To(Equal(sink.CredentialsRefused))
	o.Token = sinktest.Secret("token")
	g.Expect(connect(t, o).Check(t.Context())).To(Succeed())
	g.Expect(r.Received()).To(BeEmpty(), "nothing is sent")
}

func TestFiguresAreEventsOfTheirOwn(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	figures := sinktest.Figures()
	g.Expect(s.SendFigures(t.Context(), figures)).To(Equal("202 Accepted"))
	g.Expect(s.SendFigures(t.Context(), figures)).To(Equal("202 Accepted"))
	ids := r.IDs()
	g.Expect(ids[:4]).To(Equal(ids[4:]), "the same figures are the same event")
	slices.Sort(ids)
	g.Expect(slices.Compact(ids)).To(HaveLen(4))
	var subjects []string
	for _, one := range r.Received()[:4] {
		subjects = append(subjects, one.Event.Subject())
	}
	g.Expect(subjects).To(Equal([]string{"cart", "shop", "shop/shop", "quiet"}))

	figures[0].To = figures[0].To.Add(time.Minute)
	g.Expect(s.SendFigures(t.Context(), figures[:1])).To(Equal("202 Accepted"))
	g.Expect(ids).NotTo(ContainElement(r.IDs()[8]), "another moment is another measurement")

	r.Answer(http.StatusServiceUnavailable, "")
	_, err := s.SendFigures(t.Context(), figures)
	g.Expect(err).To(HaveOccurred())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Failing))
	g.Expect(r.Asked()).To(HaveLen(10))
}

func TestCDEventsHasNoWordsForIt(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Format = cloudevents.FormatCDEvents })
	no := false
	unexposed := sinktest.Events()[2]
	unexposed.Success, unexposed.Exposed = &no, &no
	for _, event := range []dora.Event{sinktest.Events()[1], sinktest.Events()[3], unexposed} {
		g.Expect(s.Send(t.Context(), []dora.Event{event})).To(ContainSubstring("CDEvents has no event for it"))
	}
	g.Expect(s.SendFigures(t.Context(), sinktest.Figures())).To(ContainSubstring("CDEvents has no event for it"))
	g.Expect(r.Asked()).To(BeEmpty())
	g.Expect(s.Send(t.Context(), sinktest.Events())).To(Equal("202 Accepted"))
	g.Expect(r.IDs()).To(Equal([]string{"e1", "e3", "e5", "e6"}))
}

func TestADeploymentIsTheFirstOnlyIfThatIsKnown(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Format = cloudevents.FormatCDEvents })
	event := sinktest.Events()[0]
	event.Previous = dora.Predecessor{}
	g.Expect(s.Send(t.Context(), []dora.Event{event})).To(Equal("202 Accepted"))
	event.Previous.Known = true
	g.Expect(s.Send(t.Context(), []dora.Event{event})).To(Equal("202 Accepted"))
	g.Expect(r.Received()[0].Event.Type()).To(Equal("dev.cdevents.service.upgraded.0.3.0"))
	g.Expect(r.Received()[1].Event.Type()).To(Equal("dev.cdevents.service.deployed.0.3.0"))
}

func TestCDEventsWantsAnImageOfADeployment(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Format = cloudevents.FormatCDEvents })
	deployed, incident := sinktest.Events()[0], sinktest.Events()[4]
	deployed.Version, incident.Running = nil, nil
	_, err := s.Send(t.Context(), []dora.Event{deployed})
	g.Expect(err).To(MatchError("cannot encode: nobody knows an image of it, and CDEvents wants one"))
	g.Expect(sink.IsPermanent(err)).To(BeTrue())
	g.Expect(s.Send(t.Context(), []dora.Event{incident})).To(Equal("202 Accepted"), "an incident may have none")
	g.Expect(r.IDs()).To(Equal([]string{"e5"}))
	incident.Environment = ""
	_, err = s.Send(t.Context(), []dora.Event{incident})
	g.Expect(err).To(MatchError(HavePrefix("cannot encode: it is no CDEvent: ")))
}

// A receiver of Flux reads the type from the header and the event from the body, with this package of the SDK, and validates it:
// https://github.com/fluxcd/notification-controller/blob/main/internal/server/receiver_handlers.go
func TestAReceiverOfFluxTakesIt(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, func(o *cloudevents.Options) { o.Format, o.Mode = cloudevents.FormatCDEvents04, cloudevents.ModeBinary })
	events := sinktest.Events()
	for i := range events {
		events[i].Running = events[0].Version // Flux wants the artifact of an incident too
	}
	g.Expect(s.Send(t.Context(), events)).To(Equal("202 Accepted"))
	var types []string
	for _, one := range r.Received() {
		event, err := cdevents04.NewFromJsonBytes(one.Body)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cdevents.Validate(event)).To(Succeed())
		types = append(types, one.Header.Get("Ce-Type"))
	}
	g.Expect(types).To(Equal([]string{
		"dev.cdevents.service.upgraded.0.2.0", "dev.cdevents.service.rolledback.0.2.0",
		"dev.cdevents.incident.detected.0.2.0", "dev.cdevents.incident.resolved.0.2.0",
	}))
}
