package cli

import "github.com/spf13/cobra"

func (a *app) pvePermissionsCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "permissions", Hidden: true}
}
