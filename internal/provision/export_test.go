package provision

// PassingCodes are the codes of the errors that are waited for.
func PassingCodes() (codes []string) {
	for _, p := range passing {
		codes = append(codes, p.code)
	}
	return codes
}
