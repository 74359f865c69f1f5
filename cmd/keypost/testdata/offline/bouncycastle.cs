// Stands in for the package BouncyCastle.Cryptography, which Debian does not
// have: the two classes that the page uses, with their signatures, over
// libsodium.
using System;
using System.IO;
using System.Runtime.InteropServices;

namespace Org.BouncyCastle.Crypto
{
    public interface ICipherParameters { }
}

namespace Org.BouncyCastle.Crypto.Parameters
{
    public sealed class Ed25519PublicKeyParameters : ICipherParameters
    {
        internal readonly byte[] Key = new byte[32];

        public Ed25519PublicKeyParameters(byte[] buf, int off) { Array.Copy(buf, off, Key, 0, Key.Length); }
    }
}

namespace Org.BouncyCastle.Crypto.Signers
{
    public class Ed25519Signer
    {
        [DllImport("sodium")]
        static extern int crypto_sign_verify_detached(byte[] sig, byte[] m, ulong mlen, byte[] pk);

        readonly MemoryStream message = new MemoryStream();
        Parameters.Ed25519PublicKeyParameters key;

        public virtual void Init(bool forSigning, ICipherParameters parameters)
        {
            if (forSigning) throw new NotSupportedException();
            key = (Parameters.Ed25519PublicKeyParameters)parameters;
        }

        public virtual void BlockUpdate(byte[] buf, int off, int len) { message.Write(buf, off, len); }

        public virtual bool VerifySignature(byte[] signature)
        {
            return crypto_sign_verify_detached(signature, message.ToArray(), (ulong)message.Length, key.Key) == 0;
        }
    }
}
