package store

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
)

// parse makes a row of raw values. It is [table.scan] without an engine: unknown columns are passed over, and fields without
// a column stay empty.
func (t *table[T]) parse(columns []string, values []any) (T, error) {
	var row T
	v := reflect.ValueOf(&row).Elem()
	for _, c := range t.cols {
		i := slices.Index(columns, c.name)
		if i < 0 || i >= len(values) || values[i] == nil {
			continue
		}
		if !set(v.Field(c.field), c.json, values[i]) {
			return row, fault.New(fault.Invalid, "a row of %s has another type in column %s", t.name, c.name)
		}
	}
	return row, nil
}

func set(field reflect.Value, isJSON bool, value any) bool {
	switch value := value.(type) {
	case string:
		if isJSON {
			return json.Unmarshal([]byte(value), field.Addr().Interface()) == nil
		}
		if field.Kind() == reflect.String {
			field.SetString(value)
			return true
		}
	case int64:
		switch {
		case field.CanInt() && !field.OverflowInt(value):
			field.SetInt(value)
			return true
		case field.Kind() == reflect.Bool && (value == 0 || value == 1):
			field.SetBool(value == 1)
			return true
		}
	case []byte:
		if field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Uint8 {
			field.SetBytes(value)
			return true
		}
	}
	return false
}
