// Builds licences, which lists the licences of what is linked into the binaries.
module github.com/dora-controller/dora-controller/hack/tools/licences

go 1.26.0

require github.com/google/licensecheck v0.3.1
