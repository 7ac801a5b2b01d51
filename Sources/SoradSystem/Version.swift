/// The version of all programs of the project, as `--version` and the marking of clips say it.
public let soradVersion = "0.1.0"
