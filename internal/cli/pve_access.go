package cli

import "github.com/spf13/cobra"

func (a *app) pveAccessCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "access", Hidden: true}
}
