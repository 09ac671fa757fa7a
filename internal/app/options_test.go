package app

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	valid := Options{Ledger: "ledger.db", Cluster: "eu-west-1", MetricsAddress: ":8080", ProbeAddress: "0"}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string // what the message must begin with; empty if there is none
	}{
		"a ledger that has no name":        {func(o *Options) { o.Ledger = "" }, "--ledger is empty: name the file"},
		"a ledger that is a folder":        {func(o *Options) { o.Ledger = t.TempDir() + "/" }, "--ledger="},
		"a ledger in a database":           {func(o *Options) { o.Ledger = "postgres://dora@db.example.com/dora" }, ""},
		"a ledger with its password":       {func(o *Options) { o.Ledger = "postgres://dora:s3cret@db/dora" }, "--ledger: the ledger's URL holds a password"},
		"a ledger by a scheme in capitals": {func(o *Options) { o.Ledger = "POSTGRES://dora@db.example.com/dora" }, ""},
		"its password, after capitals":     {func(o *Options) { o.Ledger = "PostgreSQL://dora:s3cret@db/dora" }, "--ledger: the ledger's URL holds a password"},
		"a ledger of another scheme":       {func(o *Options) { o.Ledger = "postgre://dora:s3cret@db/dora" }, "--ledger: that is neither a file nor"},
		"a ledger in libpq's other form":   {func(o *Options) { o.Ledger = "host=db Password = s3cret" }, "--ledger: that is neither a file nor"},
		"a ledger in no database":          {func(o *Options) { o.Ledger = "postgres://db:none/dora" }, "--ledger: the ledger's URL cannot be read"},
		"a cluster that is no name":        {func(o *Options) { o.Cluster = "EU/1" }, `--cluster="EU/1" is no name: use lower-case`},
		"a cluster without a name":         {func(o *Options) { o.Cluster = "" }, `--cluster="" is no name`},
		"a namespace that is none":         {func(o *Options) { o.Namespaces = []string{"argocd", "*"} }, `--namespaces: "*" is no name of a namespace: list names`},
		"a trusted namespace that is none": {func(o *Options) { o.TrustedNamespaces = []string{""} }, `--trusted-namespaces: "" is no name`},
		"a trusted namespace that is not watched": {
			func(o *Options) { o.Namespaces, o.TrustedNamespaces = []string{"a"}, []string{"b"} }, "--trusted-namespaces: b is not watched: add it",
		},
		"a trusted namespace that is watched": {func(o *Options) { o.Namespaces, o.TrustedNamespaces = []string{"a"}, []string{"a"} }, ""},
		"an election nowhere":                 {func(o *Options) { o.LeaderElect = true }, "--leader-elect needs --leader-election-namespace"},
		"an election somewhere":               {func(o *Options) { o.LeaderElect, o.LeaderElectionNamespace = true, "dora-system" }, ""},
		"an election in no namespace":         {func(o *Options) { o.LeaderElectionNamespace = "Dora" }, `--leader-election-namespace="Dora" is no name`},
		"metrics at no address":               {func(o *Options) { o.MetricsAddress = "8080" }, `--metrics-bind-address="8080" is no address: write host:port`},
		"pprof on the loopback interface":     {func(o *Options) { o.PprofAddress = "localhost:6060" }, ""},
		"pprof on that of IPv6":               {func(o *Options) { o.PprofAddress = "[::1]:6060" }, ""},
		"pprof nowhere":                       {func(o *Options) { o.PprofAddress = "0" }, ""},
		"pprof for everybody":                 {func(o *Options) { o.PprofAddress = ":6060" }, `--pprof-bind-address=":6060" can be reached from outside`},
		"pprof for a network":                 {func(o *Options) { o.PprofAddress = "10.1.2.3:6060" }, `--pprof-bind-address="10.1.2.3:6060" can be reached`},
		"pprof at a name":                     {func(o *Options) { o.PprofAddress = "localhost.example.com:6060" }, `--pprof-bind-address="localhost.example.com:6060" can be`},
		"pprof at no address":                 {func(o *Options) { o.PprofAddress = "6060" }, `--pprof-bind-address="6060" is no address: write localhost`},
		"a certificate for nothing":           {func(o *Options) { o.MetricsCertificate = "/tls" }, "--metrics-cert-dir=/tls is not used without --metrics-secure"},
		"a certificate that is not there": {
			func(o *Options) { o.MetricsSecure, o.MetricsCertificate = true, t.TempDir() }, "--metrics-cert-dir: stat ",
		},
		"secured metrics that are off": {
			func(o *Options) { o.MetricsSecure, o.MetricsAddress = true, "0" }, "--metrics-secure has nothing to secure with --metrics-bind-address=0: leave one",
		},
		"metrics with a certificate of their own": {func(o *Options) { o.MetricsSecure = true }, ""},
		"probes at no address":                    {func(o *Options) { o.ProbeAddress = "" }, `--health-probe-bind-address="" is no address`},
		"events kept for less than a window":      {func(o *Options) { o.KeepEvents = time.Hour }, "--keep-events=1h0m0s is shorter than the longest window"},
		"events kept for long enough":             {func(o *Options) { o.KeepEvents = 366 * 24 * time.Hour }, ""},
		"a folder for git that is too small":      {func(o *Options) { o.GitCacheBytes = 5 }, "--git-cache-size is 5 bytes, too few"},
		"a folder for git of 64 MiB":              {func(o *Options) { o.GitCacheBytes = 64 << 20 }, ""},
		"fewer decisions than none":               {func(o *Options) { o.KeepDecisions = -1 }, "--keep-decisions=-1 is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			options := valid
			test.change(&options)
			err := options.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("got  %v\nwant %s…", err, test.want)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("it repeats a password: %v", err)
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	err := Options{MetricsAddress: "x", ProbeAddress: "y"}.Validate()
	for _, flag := range []string{"--ledger", "--cluster", "--metrics-bind-address", "--health-probe-bind-address"} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is not in: %v", flag, err)
		}
	}
}
