package main

import (
	"bytes"
	"flag"
	"io"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	uberzap "go.uber.org/zap"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// logFlags are --log-level, and controller-runtime's --zap-… flags as every controller has them, but for the level: that is one for all areas.
type logFlags struct {
	options zap.Options
	levels  logLevels
}

// zapUsage explains those that are taken, in place of controller-runtime's words: these name defaults that are not those of its loggers.
var zapUsage = map[string]string{
	"zap-devel":            "logs for people: in plain text, from debug on, with stack traces from warnings on",
	"zap-encoder":          "form of the log: json or console (default json)",
	"zap-stacktrace-level": "from which level on a line has a stack trace: info, error or panic (default error)",
	"zap-time-encoding":    "form of times in the log: epoch, millis, nano, iso8601, rfc3339 or rfc3339nano (default rfc3339)",
}

func newLogFlags() *logFlags { return &logFlags{} }

func (l *logFlags) addTo(flags *pflag.FlagSet) {
	flags.Var(&l.levels, "log-level",
		"how much is logged: debug, info, error, or a number from 1, which is debug, to 9, which is all; and of single areas: info,ledger=debug (default info)")
	plain := flag.NewFlagSet("zap", flag.ContinueOnError)
	l.options.BindFlags(plain)
	plain.VisitAll(func(f *flag.Flag) {
		if usage, ok := zapUsage[f.Name]; ok {
			f.Usage = usage
			flags.AddGoFlag(f)
		}
	})
}

func (l *logFlags) logger(to io.Writer) logr.Logger {
	options := l.options // a copy, which zap completes
	levels := l.levels.orElse(options.Development)
	options.Level = levels.most()
	options.ZapOpts = append(options.ZapOpts, uberzap.WrapCore(levels.filter))
	return zap.New(zap.UseFlagOptions(&options), zap.WriteTo(to)).WithName(loggerName)
}

// said logs what libraries say through Go's own logger, a line at a time.
type said struct{ log logr.Logger }

// Write implements io.Writer.
func (s said) Write(line []byte) (int, error) {
	s.log.Info(string(bytes.TrimSpace(line)))
	return len(line), nil
}
