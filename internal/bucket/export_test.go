package bucket

// What tests of other bytes and of bounds reach directly.
var (
	ErrorCode = errorCode
)

// ListKeys parses a page of a list and gives its keys.
func ListKeys(b []byte) ([]string, error) {
	page, err := parseList(b)
	var keys []string
	for _, c := range page.Contents {
		keys = append(keys, c.Key)
	}
	return keys, err
}

// The bounds that tests go to the edge of.
const (
	PartBytes = partBytes
	MaxName   = maxName
	MaxTries  = maxTries
	MaxStall  = maxStall
)
