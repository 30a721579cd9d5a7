# One request of this machine about itself to Azure Resource Manager, as its managed identity. No token is in the
# arguments of a process: curl reads it from its standard input.
set -eu

metadata() { # PATH-AND-QUERY
    curl --silent --show-error --fail --noproxy '*' --retry 8 --retry-connrefused --max-time 60 \
        --header 'Metadata: true' "http://169.254.169.254/metadata/$1"
}

compute() { # FIELD: what the metadata service says of this machine
    metadata "instance/compute/$1?api-version=2021-02-01&format=text"
}

ask() { # METHOD PATH-BELOW-THE-MACHINE QUERY
    case $(compute azEnvironment) in
        AzureUSGovernmentCloud) api=https://management.usgovcloudapi.net ;;
        AzureChinaCloud) api=https://management.chinacloudapi.cn ;;
        *) api=https://management.azure.com ;;
    esac
    machine=$(compute resourceId)
    token=$(metadata "identity/oauth2/token?api-version=2018-02-01&resource=$api/" |
        sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
    [ -n "$token" ] || {
        echo "skyrig: no token of this machine's identity" >&2
        exit 1
    }
    # Throttling and errors of the server are asked again, after the time that the answer names.
    printf 'header = "Authorization: Bearer %s"\n' "$token" |
        curl --config - --silent --show-error --fail --retry 8 --retry-connrefused --max-time 120 \
            --request "$1" --header 'Content-Length: 0' --output /dev/null "$api$machine$2?api-version=2024-11-01$3"
}
