//! Users: people and bots.

use serde::Serialize;

use crate::UserId;

/// A user as everybody may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: UserId,
    pub username: String,
    /// "0" for everybody: names are unique. Clients still read the field.
    pub discriminator: &'static str,
    pub global_name: Option<String>,
    pub avatar: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    pub public_flags: u32,
    pub avatar_decoration_data: Option<()>,
    pub banner: Option<()>,
    pub accent_color: Option<u32>,
}

impl User {
    pub fn new(id: UserId, username: impl Into<String>, bot: bool) -> Self {
        Self {
            id,
            username: username.into(),
            discriminator: "0",
            global_name: None,
            avatar: None,
            bot,
            public_flags: 0,
            avatar_decoration_data: None,
            banner: None,
            accent_color: None,
        }
    }
}

/// The user whose token it is: what READY and `/users/@me` show beyond [`User`].
#[derive(Debug, Clone, Serialize)]
pub struct CurrentUser<'a> {
    #[serde(flatten)]
    pub user: &'a User,
    pub mfa_enabled: bool,
    pub verified: bool,
    pub email: Option<&'a str>,
    pub locale: &'static str,
    pub flags: u32,
    pub premium_type: u8,
}

impl<'a> CurrentUser<'a> {
    pub fn new(user: &'a User) -> Self {
        Self {
            user,
            mfa_enabled: false,
            verified: true,
            email: None,
            locale: "en-US",
            flags: 0,
            premium_type: 0,
        }
    }
}
