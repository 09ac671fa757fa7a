package main

import (
	"flag"
	"io"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// logFlags are controller-runtime's --zap-… flags, as every controller has them.
type logFlags struct{ options zap.Options }

func newLogFlags() *logFlags { return &logFlags{} }

func (l *logFlags) addTo(flags *pflag.FlagSet) {
	plain := flag.NewFlagSet("zap", flag.ContinueOnError)
	l.options.BindFlags(plain)
	flags.AddGoFlagSet(plain)
}

func (l *logFlags) logger(to io.Writer) logr.Logger {
	return zap.New(zap.UseFlagOptions(&l.options), zap.WriteTo(to))
}
