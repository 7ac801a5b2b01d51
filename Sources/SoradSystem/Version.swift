// The one version of all programs, as `--version`, `/healthz` and the mark in clips give it.
public let soradVersion = "0.1.0"
