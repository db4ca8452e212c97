//! Users out of a file of Apache's `htdigest`, which is what `rpc.auth_file` names.

use super::access::User;
use super::digest::Digest;

/// The users of `realm` in the text of such a file, a line `user:realm:digest` for each. Other lines
/// are left out, such as those of other realms.
pub fn users<'t>(file: &'t str, realm: &str) -> impl Iterator<Item = User<'t>> {
    file.lines().filter_map(move |line| {
        let (name, rest) = line.trim_ascii_end().split_once(':')?;
        let (found, hex) = rest.split_once(':')?;
        let ha1 = Digest::from_hex(hex)?;
        (found == realm).then_some(User { name, ha1 })
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::auth::Algorithm;

    #[test]
    fn a_file_of_htdigest_is_understood() {
        // `printf admin:RPC:secret | md5sum`, as `htdigest` does it.
        let file = "admin:RPC:cf685a4a101de8b1eec42ddc7c7efcf0\r\n\
            other:elsewhere:cf685a4a101de8b1eec42ddc7c7efcf0\n\
            # nothing\n\
            short:RPC:cf68\n\n";
        let users: Vec<_> = users(file, "RPC").collect();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].name, "admin");
        assert_eq!(users[0].ha1.algorithm(), Algorithm::Md5);
    }
}
