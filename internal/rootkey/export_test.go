package rootkey

// ReadPassphraseCost lets tests read costs without paying them.
func ReadPassphraseCost(kept []byte) (again []byte, memory uint32, err error) {
	c, err := parsePassphraseCost(kept)
	if err != nil {
		return nil, 0, err
	}
	return c.text(), c.memory, nil
}

// RereadTPMKept parses what a TPM slot keeps and writes it again.
func RereadTPMKept(kept []byte) ([]byte, error) {
	k, err := parseTPMKept(kept)
	if err != nil {
		return nil, err
	}
	return k.bytes(), nil
}
