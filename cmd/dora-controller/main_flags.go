package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/resource"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
)

// duration is a flag that takes what Go takes (90s, 1h30m, 500ms) and days (30d, 1d12h).
type duration time.Duration

func (d *duration) Set(text string) error {
	value, err := parseDuration(text)
	if err == nil && value < 0 {
		err = errors.New("must not be negative")
	}
	if err != nil {
		return err
	}
	*d = duration(value)
	return nil
}

func (d *duration) String() string { return time.Duration(*d).String() }

func (*duration) Type() string { return "duration" }

func parseDuration(text string) (time.Duration, error) {
	if value, err := time.ParseDuration(text); err == nil {
		return value, nil
	}
	return dorav1alpha1.Duration(text).Parse()
}

// bytesFlag is a flag that takes a number of bytes as Kubernetes writes it.
type bytesFlag int64

func (b *bytesFlag) Set(text string) error {
	quantity, err := resource.ParseQuantity(text)
	if err != nil || quantity.Sign() <= 0 || !countable(quantity) {
		return fmt.Errorf("%q is no size: write it as 500Mi or 2Gi", text)
	}
	*b = bytesFlag(quantity.Value())
	return nil
}

// countable says that a quantity fits into a number of bytes. The exponent comes first: to compare 1e2000000000 with anything takes minutes.
func countable(quantity resource.Quantity) bool {
	const digits = 30
	scale := quantity.AsDec().Scale()
	return -digits <= scale && scale <= digits && quantity.CmpInt64(math.MaxInt64) <= 0
}

func (b *bytesFlag) String() string {
	if *b == 0 {
		return ""
	}
	return resource.NewQuantity(int64(*b), resource.BinarySI).String()
}

func (*bytesFlag) Type() string { return "size" }

// networks is a flag that takes address ranges, separated by commas; given again it adds to them.
type networks []netip.Prefix

func (n *networks) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("%q is no network: write it as 10.0.0.0/8 or fd00::/8", part)
		}
		*n = append(*n, plain(network.Masked()))
	}
	return nil
}

// plain writes a network of IPv4 addresses within IPv6 as what it is: the guard looks at an address without that, and would not find it there.
func plain(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is4In6() {
		return network
	}
	return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
}

func (n *networks) String() string {
	texts := make([]string, len(*n))
	for i, network := range *n {
		texts[i] = network.String()
	}
	return strings.Join(texts, ",")
}

func (*networks) Type() string { return "cidrs" }

// moment is a flag that takes a time or a length of time.
type moment struct {
	at       time.Time
	length   time.Duration
	relative bool // length tells, and not at
	set      bool
}

func (m *moment) Set(text string) error {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*m = moment{at: at.UTC(), set: true}
		return nil
	}
	length, err := parseDuration(text)
	if err != nil || length < 0 {
		return fmt.Errorf("%q is neither a time such as 2026-11-20T20:57:31Z nor a duration such as 90s, 12h or 7d", text)
	}
	*m = moment{length: length, relative: true, set: true}
	return nil
}

func (*moment) String() string { return "" }

func (*moment) Type() string { return "time|duration" }

// before is the moment itself, or that long before now; zero if it is not set.
func (m *moment) before(now time.Time) time.Time {
	if !m.relative {
		return m.at
	}
	return now.Add(-m.length)
}

// after is the moment itself, or that long after start; zero if it is not set.
func (m *moment) after(start time.Time) time.Time {
	if !m.relative {
		return m.at
	}
	return start.Add(m.length)
}

// output is how a command prints events.
type output struct{ cli.Choice }

const (
	outputJSON  = "json"
	outputTable = "table"
)

func addOutputFlag(cmd *cobra.Command) *output {
	o := &output{cli.Choice{Options: []string{outputJSON, outputTable}}}
	cmd.Flags().VarP(o, "output", "o", "how to print events: json, one event a line, or table (default: table on a terminal, else json)")
	return o
}

// table tells whether to print a table there.
func (o *output) table(out io.Writer) bool {
	if o.Value != "" {
		return o.Value == outputTable
	}
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printLines writes values as JSON, a line each.
func printLines[T any](out io.Writer, lines []T, what string) error {
	encoder := json.NewEncoder(out)
	for i := range lines {
		if err := encoder.Encode(&lines[i]); err != nil {
			return fmt.Errorf("cannot write %s: %w", what, err)
		}
	}
	return nil
}

// addLedgerFlags are those that name a ledger to be read.
func addLedgerFlags(f *pflag.FlagSet, location, cluster *string) {
	f.StringVar(location, "ledger", defaultLedger, "the ledger's file, or the URL of its database")
	f.StringVar(cluster, "cluster", "", "whose ledger, in a database of several clusters")
}
